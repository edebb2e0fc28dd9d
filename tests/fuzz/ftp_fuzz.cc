// Any bytes as what the two hosts of an FTP control connection say, in segments
// that the bytes themselves choose: lines do not depend on how they were cut,
// and what is sound names a port, an address of its own family, and a place
// inside of the line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
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

void Check(std::span<const uint8_t> data) {
  std::vector<std::string> whole;
  FtpLineReader reader;
  reader.Read(7, data, [&](std::string_view line) { whole.emplace_back(line); });
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
                 [&](std::string_view line) { pieces.emplace_back(line); });
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
  return 0;
}
