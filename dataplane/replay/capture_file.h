// The blocks of pcap and pcapng files, read here and not by libpcap: that
// takes seconds for signed (nothing after 2038), and of pcapng only files
// whose interfaces are all of one link type and snapshot length.
#ifndef SLUICE_DATAPLANE_REPLAY_CAPTURE_FILE_H_
#define SLUICE_DATAPLANE_REPLAY_CAPTURE_FILE_H_

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// The longest packet that a capture may hold, in bytes.
inline constexpr uint32_t kMaxCapturedBytes = 262144;

inline constexpr uint64_t kNanosecondsASecond = 1'000'000'000;

// A packet as the file has it.
struct CaptureRecord {
  uint64_t nanoseconds = 0;  // since 1970
  // A LINKTYPE_ number, as the files have them.
  uint32_t link_type = 0;
  uint32_t original_length = 0;    // on the wire
  std::span<const uint8_t> bytes;  // valid until the next call
};

// Errors are without the file's name.
class CaptureFile {
 public:
  // pcap (version 2, micro- and nanoseconds) or pcapng, either byte order;
  // "-" is the standard input. Reads up to the first packet.
  static absl::StatusOr<std::unique_ptr<CaptureFile>> Open(
      const std::string& path);
  ~CaptureFile();
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;

  // True and the next packet, or false at the end of the file. A file that
  // ends inside of a packet or block, lengths that contradict each other and
  // a timestamp beyond the year 2262 are errors. A simple packet block, which
  // has no time, gets that of the packet before it.
  absl::StatusOr<bool> Next(CaptureRecord& record);

  // Of a pcap file, where all packets have the same one.
  std::optional<uint32_t> link_type() const { return link_type_; }

 private:
  // One interface of a pcapng section.
  struct Interface {
    uint32_t link_type = 0;
    uint32_t snapshot_length = 0;    // 0: none
    uint64_t units_a_second = 1'000'000;
    int64_t offset = 0;  // seconds to add
  };

  explicit CaptureFile(std::FILE* file) : file_(file) {}

  absl::Status ReadPcapHeader(uint32_t magic);
  absl::Status ReadSectionHeader(std::span<const uint8_t> length);
  absl::Status ReadUpToInterface();
  absl::StatusOr<bool> NextOfPcap(CaptureRecord& record);
  absl::StatusOr<bool> NextOfPcapng(CaptureRecord& record);
  // The next block, its type and its body in `block_`; of other types than
  // those that are read here the body is left out. False at the end.
  absl::StatusOr<bool> ReadBlock(uint32_t& type);
  absl::Status AddInterface();
  absl::Status ReadPacketBlock(uint32_t type, CaptureRecord& record);
  absl::Status SetTime(const Interface& interface, uint64_t units,
                       CaptureRecord& record);

  // All of `bytes`; false and nothing read at the end of the file. An error
  // in between.
  absl::StatusOr<bool> Read(std::span<uint8_t> bytes, const char* inside_of);
  absl::Status Skip(uint64_t bytes);
  uint16_t Half(std::span<const uint8_t> bytes, size_t at) const;
  uint32_t Word(std::span<const uint8_t> bytes, size_t at) const;

  std::FILE* file_;
  bool big_endian_ = false;
  std::vector<uint8_t> block_;

  // Of pcap.
  std::optional<uint32_t> link_type_;
  uint32_t nanoseconds_a_unit_ = 0;
  size_t record_header_ = 16;
  uint16_t minor_version_ = 4;

  // Of pcapng: those of the section at hand.
  std::vector<Interface> interfaces_;
  uint64_t last_time_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_CAPTURE_FILE_H_
