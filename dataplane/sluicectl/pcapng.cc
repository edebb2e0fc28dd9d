#include "dataplane/sluicectl/pcapng.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr uint32_t kSection = 0x0a0d0d0a;
constexpr uint32_t kInterface = 1;
constexpr uint32_t kStatistics = 5;
constexpr uint32_t kPacket = 6;
constexpr uint16_t kEthernet = 1;
// Options.
constexpr uint16_t kComment = 1;
constexpr uint16_t kInterfaceName = 2;
constexpr uint16_t kPacketFlags = 2;
constexpr uint16_t kApplication = 4;
constexpr uint16_t kLost = 5;

// In the byte order of this machine, which the section's magic tells.
template <typename Number>
void Append(std::string* out, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out->append(bytes, sizeof number);
}

void Pad(std::string* out) { out->append((4 - out->size() % 4) % 4, '\0'); }

void AppendOption(std::string* out, uint16_t code, std::string_view value) {
  value = value.substr(0, UINT16_MAX);
  Append(out, code);
  Append(out, static_cast<uint16_t>(value.size()));
  out->append(value);
  Pad(out);
}

template <typename Number>
void AppendNumber(std::string* out, uint16_t code, Number number) {
  std::string value;
  Append(&value, number);
  AppendOption(out, code, value);
}

void AppendTime(std::string* out, int64_t time_us) {
  Append(out, static_cast<uint32_t>(static_cast<uint64_t>(time_us) >> 32));
  Append(out, static_cast<uint32_t>(time_us));
}

// With the length at both ends and the end of the options.
std::string Block(uint32_t type, std::string body) {
  Append(&body, uint32_t{0});
  const auto length = static_cast<uint32_t>(body.size() + 12);
  std::string block;
  Append(&block, type);
  Append(&block, length);
  block += body;
  Append(&block, length);
  return block;
}

}  // namespace

absl::StatusOr<PcapngWriter> PcapngWriter::Open(const std::string& path,
                                                uint32_t snap_length) {
  PcapngWriter writer;
  writer.snap_length_ = snap_length;
  writer.file_ = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
  if (writer.file_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", std::strerror(errno)));
  }
  std::string body;
  Append(&body, uint32_t{0x1a2b3c4d});
  Append(&body, uint16_t{1});
  Append(&body, uint16_t{0});
  Append(&body, int64_t{-1});  // as long as it may be
  AppendOption(&body, kApplication, "sluicectl");
  if (!writer.Put(Block(kSection, std::move(body)))) {
    return absl::UnavailableError(
        absl::StrCat(path, ": ", std::strerror(errno)));
  }
  return writer;
}

PcapngWriter::PcapngWriter(PcapngWriter&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      snap_length_(other.snap_length_),
      interfaces_(std::move(other.interfaces_)) {}

PcapngWriter::~PcapngWriter() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

bool PcapngWriter::Put(const std::string& bytes) {
  return std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size() &&
         std::fflush(file_) == 0;
}

bool PcapngWriter::Write(const Frame& frame) {
  const auto [at, is_new] = interfaces_.try_emplace(
      std::string(frame.interface), static_cast<uint32_t>(interfaces_.size()));
  std::string blocks;
  if (is_new) {
    std::string body;
    Append(&body, kEthernet);
    Append(&body, uint16_t{0});
    Append(&body, snap_length_);
    AppendOption(&body, kInterfaceName, frame.interface);
    blocks = Block(kInterface, std::move(body));
  }
  std::string body;
  Append(&body, at->second);
  AppendTime(&body, frame.time_us);
  Append(&body, static_cast<uint32_t>(frame.bytes.size()));
  Append(&body, frame.length);
  body.append(frame.bytes);
  Pad(&body);
  AppendOption(&body, kComment, frame.comment);
  AppendNumber(&body, kPacketFlags, uint32_t{frame.leaves ? 2u : 1u});
  return Put(blocks + Block(kPacket, std::move(body)));
}

bool PcapngWriter::Finish(uint64_t lost, int64_t time_us) {
  std::string blocks;
  for (const auto& [name, number] : interfaces_) {
    std::string body;
    Append(&body, number);
    AppendTime(&body, time_us);
    // One number for all of them: it is not known whose frames are missing.
    AppendNumber(&body, kLost, lost);
    blocks += Block(kStatistics, std::move(body));
  }
  return Put(blocks);
}

}  // namespace sluice
