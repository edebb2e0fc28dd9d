// Any bytes as a UDP payload to and from port 69: what the parser accepts as a
// request is one by a second, simpler reading, and the helper arms and drops
// as the parser says.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "conntrack/tftp.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// The strings of a request, by splitting at each NUL.
bool IsRequest(std::span<const uint8_t> payload) {
  if (payload.size() < 4 || payload.size() > kMaxTftpRequest) return false;
  if (payload[0] != 0 || (payload[1] != 1 && payload[1] != 2)) return false;
  if (payload.back() != 0) return false;
  std::vector<std::string> strings(1);
  for (const uint8_t byte : payload.subspan(2)) {
    if (byte == 0) {
      strings.emplace_back();
    } else {
      strings.back() += static_cast<char>(byte);
    }
  }
  strings.pop_back();
  if (strings.size() < 2 || strings.size() % 2 != 0) return false;
  if (strings.size() > 2 + 2 * static_cast<size_t>(kMaxTftpOptions)) {
    return false;
  }
  std::string mode = strings[1];
  for (char& c : mode) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (mode != "netascii" && mode != "octet" && mode != "mail") return false;
  for (size_t i = 0; i < strings.size(); i += 2) {
    if (strings[i].empty()) return false;
  }
  return true;
}

void Check(std::span<const uint8_t> payload) {
  // A block of exactly this size, so that a read beyond it is seen.
  const std::vector<uint8_t> copy(payload.begin(), payload.end());
  const TftpMessage message = ParseTftp(copy);
  const bool request = message == TftpMessage::kReadRequest ||
                       message == TftpMessage::kWriteRequest;
  Require(request == IsRequest(payload));
  if (request) {
    Require((message == TftpMessage::kReadRequest) == (payload[1] == 1));
  } else if (message != TftpMessage::kMalformed) {
    Require(payload.size() >= 2 && payload[0] == 0);
    Require(payload[1] >= 3 && payload[1] <= 6);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
