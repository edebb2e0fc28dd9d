#include "dataplane/replay/capture.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/replay/link_layer.h"

namespace sluice {
namespace {

// Of pcap, whose seconds have 32 bits.
constexpr uint64_t kLastSecond = 0xffff'ffff;

absl::Status Failed(const std::string& path, std::string_view doing) {
  return absl::UnavailableError(
      SystemText(absl::StrCat(path, ": ", View(doing)), errno));
}

struct Place {
  std::FILE* file = nullptr;
  std::string temporary;  // empty: `file` is the path itself
};

// A new file beside `path`, or `path` itself if it is no regular file.
absl::StatusOr<Place> OpenBeside(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) {
      errno = EISDIR;
      return Failed(path, "cannot write");
    }
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (file == nullptr) return Failed(path, "cannot write");
    return Place{.file = file, .temporary = ""};
  }
  std::string temporary = absl::StrCat(path, ".part", getpid());
  const int fd = open(temporary.c_str(),
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return Failed(path, "cannot write");
  return Place{.file = fdopen(fd, "w"), .temporary = std::move(temporary)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<CaptureReader>> CaptureReader::Open(
    const std::string& path, CaptureOptions options) {
  absl::StatusOr<std::unique_ptr<CaptureFile>> file = CaptureFile::Open(path);
  absl::Status status = file.status();
  if (file.ok() && (*file)->link_type()) {
    status = CheckLinkType(*(*file)->link_type());
  }
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat(path, ": ", status.message()));
  }
  return std::unique_ptr<CaptureReader>(
      new CaptureReader(path, options, *std::move(file)));
}

absl::StatusOr<bool> CaptureReader::Next(CapturedPacket& packet) {
  CaptureRecord record;
  const absl::StatusOr<bool> more = file_->Next(record);
  if (more.ok() && !*more) return false;
  ++count_;
  const auto wrong = [&](std::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": packet ", count_, ": ", View(what)));
  };
  if (!more.ok()) return wrong(Text(more.status()));
  if (absl::Status s = CheckLinkType(record.link_type); !s.ok()) {
    return wrong(Text(s));
  }
  packet.cut = record.bytes.size() < record.original_length;
  if (packet.cut && options_.strict) {
    return wrong(absl::StrCat(
        "only ", record.bytes.size(), " of ", record.original_length,
        " bytes were captured; capture whole packets (tcpdump -s 0)"));
  }
  packet.nanoseconds = record.nanoseconds;
  packet.frame = ToEthernet(record.link_type, record.bytes, converted_);
  return true;
}

absl::StatusOr<std::unique_ptr<CaptureWriter>> CaptureWriter::Create(
    const std::string& path) {
  absl::StatusOr<Place> place = OpenBeside(path);
  if (!place.ok()) return place.status();
  pcap* format = pcap_open_dead_with_tstamp_precision(
      DLT_EN10MB, 262144, PCAP_TSTAMP_PRECISION_NANO);
  pcap_dumper* file = pcap_dump_fopen(format, place->file);
  if (file == nullptr) {
    const std::string message = pcap_geterr(format);
    pcap_close(format);
    if (!place->temporary.empty()) unlink(place->temporary.c_str());
    return absl::UnavailableError(absl::StrCat(path, ": ", message));
  }
  return std::unique_ptr<CaptureWriter>(
      new CaptureWriter(path, std::move(place->temporary), format, file));
}

CaptureWriter::~CaptureWriter() {
  if (file_ != nullptr) pcap_dump_close(file_);
  pcap_close(format_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void CaptureWriter::Write(uint64_t nanoseconds,
                          std::span<const uint8_t> frame) {
  if (nanoseconds / kNanosecondsASecond > kLastSecond) {
    too_late_ = true;
    return;
  }
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(nanoseconds / kNanosecondsASecond);
  header.ts.tv_usec =
      static_cast<suseconds_t>(nanoseconds % kNanosecondsASecond);
  header.caplen = static_cast<bpf_u_int32>(frame.size());
  header.len = header.caplen;
  pcap_dump(reinterpret_cast<u_char*>(file_), &header, frame.data());
}

absl::Status CaptureWriter::Finish() {
  const bool failed = pcap_dump_flush(file_) != 0 ||
                      std::ferror(pcap_dump_file(file_)) != 0;
  absl::Status status =
      failed ? Failed(path_, "cannot write") : absl::OkStatus();
  pcap_dump_close(file_);
  file_ = nullptr;
  if (status.ok() && too_late_) {
    status = absl::OutOfRangeError(absl::StrCat(
        path_, ": a packet is from after the year 2106, which pcap cannot "
               "say; replay it without --out"));
  }
  return status;
}

absl::Status CaptureWriter::Publish() {
  if (temporary_.empty()) return absl::OkStatus();
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return Failed(path_, "cannot rename");
  }
  temporary_.clear();
  return absl::OkStatus();
}

absl::Status WriteWholeFile(const std::string& path, std::string_view text) {
  absl::StatusOr<Place> place = OpenBeside(path);
  if (!place.ok()) return place.status();
  const bool written =
      std::fwrite(text.data(), 1, text.size(), place->file) == text.size();
  const bool closed = std::fclose(place->file) == 0;
  if (!written || !closed) {
    absl::Status status = Failed(path, "cannot write");
    if (!place->temporary.empty()) unlink(place->temporary.c_str());
    return status;
  }
  if (!place->temporary.empty() &&
      std::rename(place->temporary.c_str(), path.c_str()) != 0) {
    absl::Status status = Failed(path, "cannot rename");
    unlink(place->temporary.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace sluice
