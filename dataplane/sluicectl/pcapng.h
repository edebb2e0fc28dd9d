// Capture files in the format pcapng (draft-ietf-opsawg-pcapng), of Ethernet
// frames: with the names of interfaces, directions and comments.
#ifndef SLUICE_DATAPLANE_SLUICECTL_PCAPNG_H_
#define SLUICE_DATAPLANE_SLUICECTL_PCAPNG_H_

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

class PcapngWriter {
 public:
  // "-" is standard output.
  static absl::StatusOr<PcapngWriter> Open(const std::string& path,
                                           uint32_t snap_length);
  PcapngWriter(PcapngWriter&& other) noexcept;
  PcapngWriter& operator=(PcapngWriter&&) = delete;
  ~PcapngWriter();

  struct Frame {
    std::string_view interface;
    bool leaves = false;
    int64_t time_us = 0;
    uint32_t length = 0;  // of which `bytes` may be a part
    std::string_view bytes;
    std::string_view comment;
  };
  // Whoever reads along sees it at once. False: it could not be written.
  bool Write(const Frame& frame);
  // At the end: how many found no room, for each interface that was seen.
  bool Finish(uint64_t lost, int64_t time_us);

 private:
  PcapngWriter() = default;
  bool Put(const std::string& bytes);

  std::FILE* file_ = nullptr;
  uint32_t snap_length_ = 0;
  std::map<std::string, uint32_t, std::less<>> interfaces_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_PCAPNG_H_
