// Any bytes as what the two hosts of an FTP control connection say, in segments
// that the bytes themselves choose: lines do not depend on how they were cut,
// and what is sound names a port, an address of its own family, and a place
// inside of the line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conntrack/ftp.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckLine(std::string_view line) {
  // Exactly as long as the line, so that a read beyond it is seen.
  const std::vector<char> copy(line.begin(), line.end());
  const std::string_view text(copy.data(), copy.size());
  for (const FtpLine& parsed : {ParseFtpCommand(text), ParseFtpReply(text)}) {
    if (!parsed.sound) continue;
    Require(parsed.port != 0);
    Require(parsed.begin < parsed.end && parsed.end <= text.size());
    switch (parsed.word) {
      case FtpWord::kPort:
      case FtpWord::kPassive:
        Require(parsed.address.family == Family::kIpv4);
        break;
      case FtpWord::kEprt:
        Require(parsed.address.family != Family::kNone);
        break;
      case FtpWord::kExtended:
        Require(parsed.address.family == Family::kNone);
        break;
      default:
        Require(false);
    }
  }
}

// Texts that grow and shrink at places that the bytes choose: every number
// outside of them comes back, and one inside means the text's beginning.
void CheckEdits(std::span<const uint8_t> data) {
  FtpEdits edits;
  std::vector<std::pair<uint32_t, uint32_t>> texts;  // begin, end
  uint32_t at = 0xffffff00;
  const uint32_t start = at;
  for (size_t i = 0; i + 2 < data.size() && texts.size() < FtpEdits::kKept;
       i += 3) {
    at += data[i];
    const size_t length = 1 + data[i + 1] % 60;
    const std::string text(1 + data[i + 2] % FtpEdits::kMaxText, 'x');
    edits.Add(at, length, text);
    texts.emplace_back(at, at + static_cast<uint32_t>(length));
    at += static_cast<uint32_t>(length);
  }
  for (uint32_t n = start; n != at + 10; ++n) {
    bool inside = false;
    for (const auto& [begin, end] : texts) {
      inside |= n - begin > 0 && n - begin < end - begin;
    }
    if (inside) continue;
    Require(edits.Backward(n + edits.Forward(n)) == n);
  }
  for (const FtpEdits::Edit& edit : edits.kept()) {
    for (uint32_t i = 1; i < edit.length; ++i) {
      Require(edits.Backward(edit.begin + edits.Forward(edit.begin) + i) ==
              edit.begin);
    }
  }
}

void Check(std::span<const uint8_t> data) {
  std::vector<std::string> whole;
  FtpLineReader reader;
  reader.Read(7, data, [&](std::string_view line, uint32_t begin) {
    whole.emplace_back(line);
    // It lies where it says.
    Require(begin - 7 + line.size() <= data.size());
    Require(line.empty() || data[begin - 7] == static_cast<uint8_t>(line[0]));
  });
  for (const std::string& line : whole) {
    Require(line.size() <= kMaxFtpLine);
    CheckLine(line);
  }
  // In pieces, each sent twice.
  std::vector<std::string> pieces;
  FtpLineReader again;
  uint32_t sequence = 0xfffffff0;
  again.Begin(sequence);
  for (size_t at = 0; at < data.size();) {
    const size_t part = std::min<size_t>(data.size() - at, 1 + data[at] % 17);
    for (int i = 0; i < 2; ++i) {
      again.Read(sequence, data.subspan(at, part),
                 [&](std::string_view line, uint32_t) {
                   pieces.emplace_back(line);
                 });
    }
    Require(again.HasRead(sequence, static_cast<uint32_t>(part)));
    sequence += static_cast<uint32_t>(part);
    at += part;
  }
  Require(pieces == whole);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  sluice::CheckEdits({data, size});
  return 0;
}
