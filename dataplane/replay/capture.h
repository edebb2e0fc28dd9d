// Capture files as Ethernet frames: reading pcap and pcapng, writing pcap.
#ifndef SLUICE_DATAPLANE_REPLAY_CAPTURE_H_
#define SLUICE_DATAPLANE_REPLAY_CAPTURE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/replay/capture_file.h"

struct pcap;
struct pcap_dumper;

namespace sluice {

// One packet as an Ethernet frame.
struct CapturedPacket {
  // Since the epoch of the capture's clock.
  uint64_t nanoseconds = 0;
  // Valid until the next call of the reader.
  std::span<const uint8_t> frame;
  // Only its beginning was captured: what a firewall would have said of it
  // cannot be known.
  bool cut = false;
};

struct CaptureOptions {
  // A packet that was cut is an error.
  bool strict = false;
};

// Reads a capture from its beginning to its end. Errors name the file and the
// packet: "a.pcap: packet 7: ...", numbered from 1 as other programs do.
class CaptureReader {
 public:
  // pcap or pcapng, micro- or nanoseconds, either byte order; "-" is the
  // standard input. The link type of every packet must be one that
  // CheckLinkType() takes.
  static absl::StatusOr<std::unique_ptr<CaptureReader>> Open(
      const std::string& path, CaptureOptions options = {});
  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  // True and the next packet, or false at the end. Damage is an error, see
  // CaptureFile.
  absl::StatusOr<bool> Next(CapturedPacket& packet);

  // How many packets have been read.
  uint64_t count() const { return count_; }
  const std::string& path() const { return path_; }

 private:
  CaptureReader(std::string path, CaptureOptions options,
                std::unique_ptr<CaptureFile> file)
      : path_(std::move(path)), options_(options), file_(std::move(file)) {}

  std::string path_;
  CaptureOptions options_;
  std::unique_ptr<CaptureFile> file_;
  uint64_t count_ = 0;
  std::vector<uint8_t> converted_;
};

// Writes Ethernet frames to a pcap file with nanoseconds. The file appears
// under its name only by Publish(): until then, and if the writer goes away
// before, whatever had that name is untouched. A path that is no regular file
// (a pipe, a device) is written to directly.
class CaptureWriter {
 public:
  static absl::StatusOr<std::unique_ptr<CaptureWriter>> Create(
      const std::string& path);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  // Errors of the disk show up in Finish(), and a time beyond the year 2106,
  // which pcap cannot hold.
  void Write(uint64_t nanoseconds, std::span<const uint8_t> frame);

  // Everything is on its way to the disk, or why not.
  absl::Status Finish();
  // After Finish(): gives the file its name.
  absl::Status Publish();

  const std::string& path() const { return path_; }

 private:
  CaptureWriter(std::string path, std::string temporary, pcap* format,
                pcap_dumper* file)
      : path_(std::move(path)),
        temporary_(std::move(temporary)),
        format_(format),
        file_(file) {}

  std::string path_;
  std::string temporary_;  // empty: written in place, or already published
  pcap* format_;
  pcap_dumper* file_;  // null after Finish()
  bool too_late_ = false;
};

// The same care for any other file: written beside its place, then renamed.
absl::Status WriteWholeFile(const std::string& path, std::string_view text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_CAPTURE_H_
