// Any bytes as a UDP payload of a TFTP flow: what the parser says of it is what
// its first bytes say, a block size is one that RFC 2348 allows, and a transfer
// that gets them ends only by an ERROR or an acknowledgment.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "conntrack/tftp.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::span<const uint8_t> payload) {
  // A block of exactly this size, so that a read beyond it is seen.
  const std::vector<uint8_t> copy(payload.begin(), payload.end());
  const TftpHeader header = ParseTftp(copy);
  const bool known = payload.size() >= 4 && payload[0] == 0 &&
                     payload[1] >= 1 && payload[1] <= 6;
  Require(known == (header.message != TftpMessage::kMalformed));
  if (known) Require(static_cast<int>(header.message) == payload[1]);
  const uint16_t granted = GrantedBlockSize(copy);
  Require(granted == 0 || (granted >= 8 && granted <= 65464));

  TftpProgress progress{.block_size = granted};
  for (const Peer from : {Peer::kOriginator, Peer::kResponder}) {
    const bool over = progress.Advance(
        header, from, static_cast<uint32_t>(copy.size()), granted);
    Require(!over || header.message == TftpMessage::kError ||
            header.message == TftpMessage::kAcknowledgment);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
