// Any bytes as a capture file: errors that name it, or packets whose times and
// sizes are those that the pipeline can take.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/replay/capture.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

bool BeginsWith(const absl::Status& status, const std::string& text) {
  return std::string(status.message()).starts_with(text);
}

// Each packet of a capture costs some bytes of it.
constexpr size_t kLeastPacketBytes = 12;
constexpr size_t kEthernetHeader = 14;

void Check(const std::string& path, size_t size) {
  const auto reader = CaptureReader::Open(path);
  if (!reader.ok()) {
    Require(BeginsWith(reader.status(), path + ": "));
    return;
  }
  while (true) {
    CapturedPacket packet;
    const auto more = (*reader)->Next(packet);
    if (!more.ok()) {
      Require(BeginsWith(more.status(), path + ": packet "));
      return;
    }
    if (!*more) return;
    Require((*reader)->count() <= size / kLeastPacketBytes);
    Require(packet.nanoseconds <= INT64_MAX);
    Require(packet.frame.size() <= size + kEthernetHeader);
    uint8_t sum = 0;
    for (const uint8_t byte : packet.frame) {
      sum = static_cast<uint8_t>(sum + byte);
    }
    volatile uint8_t read = sum;
    static_cast<void>(read);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("capture", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  sluice::Require(ftruncate(file, 0) == 0);
  sluice::Require(pwrite(file, data, size, 0) ==
                  static_cast<ssize_t>(size));
  sluice::Check(path, size);
  return 0;
}
