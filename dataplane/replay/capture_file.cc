#include "dataplane/replay/capture_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr uint32_t kPcapMicroseconds = 0xa1b2c3d4;
constexpr uint32_t kPcapNanoseconds = 0xa1b23c4d;
// Written by patched libpcaps: eight more bytes a packet.
constexpr uint32_t kPcapModified = 0xa1b2cd34;
constexpr uint32_t kPcapngSection = 0x0a0d0d0a;
constexpr uint32_t kByteOrder = 0x1a2b3c4d;

constexpr uint32_t kInterfaceBlock = 1;
constexpr uint32_t kOldPacketBlock = 2;
constexpr uint32_t kSimplePacketBlock = 3;
constexpr uint32_t kPacketBlock = 6;

constexpr uint16_t kEndOfOptions = 0;
constexpr uint16_t kTimeResolution = 9;
constexpr uint16_t kTimeOffset = 14;

// Of a section header's body: byte order, version, section length.
constexpr size_t kSectionBody = 16;
// The rest of the upper bits say whether frames end with their check
// sequence, which is behind the IP packet and so ignored.
constexpr uint32_t kLinkTypeBits = 0xffff;
// What a block of packets may have beside its packet: options.
constexpr uint32_t kMaxBlock = 16u << 20;

constexpr uint64_t kLastNanosecond = ~uint64_t{0} >> 1;

uint32_t Swapped(uint32_t value) { return __builtin_bswap32(value); }

absl::Status Damaged(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

absl::Status UnknownFormat() { return Damaged("unknown file format"); }

// 10^-n or, with the highest bit, 2^-n seconds; nothing if it is finer than
// 64 bits can count.
std::optional<uint64_t> UnitsASecond(uint8_t resolution) {
  const uint8_t exponent = resolution & 0x7f;
  if ((resolution & 0x80) != 0) {
    if (exponent > 63) return std::nullopt;
    return uint64_t{1} << exponent;
  }
  if (exponent > 19) return std::nullopt;
  uint64_t units = 1;
  for (int i = 0; i < exponent; ++i) units *= 10;
  return units;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CaptureFile>> CaptureFile::Open(
    const std::string& path) {
  std::FILE* stream = path == "-" ? stdin : std::fopen(path.c_str(), "rbe");
  if (stream == nullptr) {
    return absl::NotFoundError(std::strerror(errno));
  }
  std::unique_ptr<CaptureFile> file(new CaptureFile(stream));
  std::array<uint8_t, 8> start;
  const absl::StatusOr<bool> read =
      file->Read(std::span(start).first(4), "its first number");
  if (!read.ok()) return read.status();
  if (!*read) return Damaged("the file is empty");
  const uint32_t magic = file->Word(start, 0);
  absl::Status status;
  if (magic == kPcapngSection) {
    if (const absl::StatusOr<bool> length =
            file->Read(std::span(start).last(4), "its first block");
        !length.ok()) {
      return length.status();
    } else if (!*length) {
      return Damaged("the file ends inside of its first block");
    }
    status = file->ReadSectionHeader(std::span(start).last(4));
    if (status.ok()) status = file->ReadUpToInterface();
  } else {
    status = file->ReadPcapHeader(magic);
  }
  if (!status.ok()) return status;
  return file;
}

CaptureFile::~CaptureFile() {
  if (file_ != stdin) std::fclose(file_);
}

absl::StatusOr<bool> CaptureFile::Next(CaptureRecord& record) {
  return link_type_ ? NextOfPcap(record) : NextOfPcapng(record);
}

absl::StatusOr<bool> CaptureFile::Read(std::span<uint8_t> bytes,
                                       const char* inside_of) {
  const size_t count = std::fread(bytes.data(), 1, bytes.size(), file_);
  if (count == bytes.size()) return true;
  if (std::ferror(file_) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot be read: ", std::strerror(errno)));
  }
  if (count == 0) return false;
  return Damaged(absl::StrCat("the file ends inside of ", inside_of));
}

absl::Status CaptureFile::Skip(uint64_t bytes) {
  std::array<uint8_t, 4096> buffer;
  while (bytes > 0) {
    const size_t count = std::min<uint64_t>(bytes, buffer.size());
    const absl::StatusOr<bool> read =
        Read(std::span(buffer).first(count), "a block");
    if (!read.ok()) return read.status();
    if (!*read) return Damaged("the file ends inside of a block");
    bytes -= count;
  }
  return absl::OkStatus();
}

uint16_t CaptureFile::Half(std::span<const uint8_t> bytes, size_t at) const {
  return static_cast<uint16_t>(big_endian_ ? bytes[at] << 8 | bytes[at + 1]
                                           : bytes[at + 1] << 8 | bytes[at]);
}

uint32_t CaptureFile::Word(std::span<const uint8_t> bytes, size_t at) const {
  const uint32_t first = Half(bytes, at), second = Half(bytes, at + 2);
  return big_endian_ ? first << 16 | second : second << 16 | first;
}

absl::Status CaptureFile::ReadPcapHeader(uint32_t magic) {
  for (const bool swapped : {false, true}) {
    const uint32_t value = swapped ? Swapped(magic) : magic;
    if (value != kPcapMicroseconds && value != kPcapNanoseconds &&
        value != kPcapModified) {
      continue;
    }
    big_endian_ = swapped;
    nanoseconds_a_unit_ = value == kPcapNanoseconds ? 1 : 1000;
    if (value == kPcapModified) record_header_ = 24;
    std::array<uint8_t, 20> header;
    const absl::StatusOr<bool> read = Read(header, "its header");
    if (!read.ok()) return read.status();
    if (!*read) return Damaged("the file ends inside of its header");
    if (Half(header, 0) != 2) {
      return Damaged(absl::StrCat("pcap of version ", Half(header, 0),
                                  " is not supported"));
    }
    minor_version_ = Half(header, 2);
    link_type_ = Word(header, 16) & kLinkTypeBits;
    return absl::OkStatus();
  }
  return UnknownFormat();
}

absl::StatusOr<bool> CaptureFile::NextOfPcap(CaptureRecord& record) {
  std::array<uint8_t, 24> header;
  const absl::StatusOr<bool> more =
      Read(std::span(header).first(record_header_), "a packet's header");
  if (!more.ok() || !*more) return more;
  const uint64_t seconds = Word(header, 0);
  const uint64_t fraction = Word(header, 4);
  uint32_t captured = Word(header, 8);
  record.original_length = Word(header, 12);
  // Old writers had the two lengths the other way round.
  if (minor_version_ < 3 ||
      (minor_version_ == 3 && captured > record.original_length)) {
    std::swap(captured, record.original_length);
  }
  if (fraction >= kNanosecondsASecond / nanoseconds_a_unit_) {
    return Damaged(absl::StrCat("the timestamp has ", fraction,
                                nanoseconds_a_unit_ == 1 ? " nanoseconds"
                                                         : " microseconds"));
  }
  if (captured > kMaxCapturedBytes) {
    return Damaged(absl::StrCat("a packet of ", captured, " bytes; at most ",
                                kMaxCapturedBytes, " are possible"));
  }
  record.nanoseconds =
      seconds * kNanosecondsASecond + fraction * nanoseconds_a_unit_;
  record.link_type = *link_type_;
  block_.resize(captured);
  const absl::StatusOr<bool> read = Read(block_, "a packet");
  if (!read.ok()) return read.status();
  if (!*read) return Damaged("the file ends inside of a packet");
  record.bytes = block_;
  return true;
}

// `length`: the block's, in the byte order that only its body names.
absl::Status CaptureFile::ReadSectionHeader(std::span<const uint8_t> length) {
  std::array<uint8_t, kSectionBody> body;
  const absl::StatusOr<bool> read = Read(body, "a section header");
  if (!read.ok()) return read.status();
  if (!*read) return Damaged("the file ends inside of a section header");
  big_endian_ = false;
  if (Word(body, 0) != kByteOrder) {
    big_endian_ = true;
    if (Word(body, 0) != kByteOrder) return UnknownFormat();
  }
  if (Half(body, 4) != 1) {
    return Damaged(absl::StrCat("pcapng of version ", Half(body, 4),
                                " is not supported"));
  }
  const uint32_t total = Word(length, 0);
  if (total % 4 != 0 || total < kSectionBody + 12 || total > kMaxBlock) {
    return Damaged(absl::StrCat("a section header of ", total, " bytes"));
  }
  // Its options and the length once more.
  if (absl::Status s = Skip(total - kSectionBody - 12); !s.ok()) return s;
  std::array<uint8_t, 4> again;
  const absl::StatusOr<bool> end = Read(again, "a section header");
  if (!end.ok()) return end.status();
  if (!*end) return Damaged("the file ends inside of a section header");
  if (Word(again, 0) != total) {
    return Damaged("the two lengths of a section header differ");
  }
  interfaces_.clear();
  return absl::OkStatus();
}

// What comes before the first interface tells no packets.
absl::Status CaptureFile::ReadUpToInterface() {
  while (interfaces_.empty()) {
    uint32_t type = 0;
    const absl::StatusOr<bool> more = ReadBlock(type);
    if (!more.ok()) return more.status();
    if (!*more) return Damaged("the file ends before its first interface");
    if (type == kInterfaceBlock) {
      if (absl::Status s = AddInterface(); !s.ok()) return s;
    } else if (type == kPacketBlock || type == kOldPacketBlock ||
               type == kSimplePacketBlock) {
      return Damaged("a packet before the first interface");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CaptureFile::ReadBlock(uint32_t& type) {
  std::array<uint8_t, 8> start;
  const absl::StatusOr<bool> more = Read(start, "a block");
  if (!more.ok() || !*more) return more;
  type = Word(start, 0);
  if (type == kPcapngSection) {
    if (absl::Status s = ReadSectionHeader(std::span(start).last(4));
        !s.ok()) {
      return s;
    }
    return true;
  }
  const uint32_t total = Word(start, 4);
  if (total % 4 != 0 || total < 12) {
    return Damaged(absl::StrCat("a block of ", total, " bytes"));
  }
  const uint32_t length = total - 12;
  if (type == kInterfaceBlock || type == kPacketBlock ||
      type == kOldPacketBlock || type == kSimplePacketBlock) {
    if (total > kMaxBlock) {
      return Damaged(absl::StrCat("a block of ", total, " bytes"));
    }
    // Piece by piece: a length costs no memory that the file does not have.
    block_.clear();
    while (block_.size() < length) {
      const size_t at = block_.size();
      block_.resize(at + std::min<size_t>(length - at, 65536));
      const absl::StatusOr<bool> read =
          Read(std::span(block_).subspan(at), "a block");
      if (!read.ok()) return read.status();
      if (!*read) return Damaged("the file ends inside of a block");
    }
  } else if (absl::Status s = Skip(length); !s.ok()) {
    return s;
  }
  std::array<uint8_t, 4> again;
  const absl::StatusOr<bool> end = Read(again, "a block");
  if (!end.ok()) return end.status();
  if (!*end) return Damaged("the file ends inside of a block");
  if (Word(again, 0) != total) {
    return Damaged("the two lengths of a block differ");
  }
  return true;
}

absl::Status CaptureFile::AddInterface() {
  if (block_.size() < 8) return Damaged("an interface without its values");
  Interface interface{.link_type = Half(block_, 0),
                      .snapshot_length = Word(block_, 4)};
  for (size_t at = 8; at + 4 <= block_.size();) {
    const uint16_t option = Half(block_, at);
    const uint16_t length = Half(block_, at + 2);
    at += 4;
    if (option == kEndOfOptions) break;
    if (length > block_.size() - at) {
      return Damaged("an option of an interface runs over its end");
    }
    if (option == kTimeResolution && length == 1) {
      const std::optional<uint64_t> units = UnitsASecond(block_[at]);
      if (!units) {
        return Damaged("an interface whose time is finer than can be counted");
      }
      interface.units_a_second = *units;
    } else if (option == kTimeOffset && length == 8) {
      const uint64_t first = Word(block_, at), second = Word(block_, at + 4);
      interface.offset = static_cast<int64_t>(
          big_endian_ ? first << 32 | second : second << 32 | first);
    }
    at += (length + size_t{3}) / 4 * 4;
  }
  interfaces_.push_back(interface);
  return absl::OkStatus();
}

absl::StatusOr<bool> CaptureFile::NextOfPcapng(CaptureRecord& record) {
  for (;;) {
    uint32_t type = 0;
    const absl::StatusOr<bool> more = ReadBlock(type);
    if (!more.ok() || !*more) return more;
    if (type == kInterfaceBlock) {
      if (absl::Status s = AddInterface(); !s.ok()) return s;
    } else if (type == kPacketBlock || type == kOldPacketBlock ||
               type == kSimplePacketBlock) {
      if (absl::Status s = ReadPacketBlock(type, record); !s.ok()) return s;
      return true;
    }
  }
}

absl::Status CaptureFile::ReadPacketBlock(uint32_t type,
                                          CaptureRecord& record) {
  const size_t header = type == kSimplePacketBlock ? 4 : 20;
  if (block_.size() < header) return Damaged("a packet block of no packet");
  const uint32_t number = type == kSimplePacketBlock ? 0
                          : type == kOldPacketBlock  ? Half(block_, 0)
                                                     : Word(block_, 0);
  if (number >= interfaces_.size()) {
    return Damaged(absl::StrCat("interface ", number, " is not described"));
  }
  const Interface& interface = interfaces_[number];
  record.link_type = interface.link_type;
  uint32_t captured;
  if (type == kSimplePacketBlock) {
    record.original_length = Word(block_, 0);
    captured = record.original_length;
    if (interface.snapshot_length != 0) {
      captured = std::min(captured, interface.snapshot_length);
    }
    record.nanoseconds = last_time_;
  } else {
    captured = Word(block_, 12);
    record.original_length = Word(block_, 16);
    const uint64_t units = uint64_t{Word(block_, 4)} << 32 | Word(block_, 8);
    if (absl::Status s = SetTime(interface, units, record); !s.ok()) return s;
  }
  if (captured > block_.size() - header || captured > kMaxCapturedBytes) {
    return Damaged(absl::StrCat("a packet of ", captured,
                                " bytes that its block does not hold"));
  }
  record.bytes = std::span(block_).subspan(header, captured);
  return absl::OkStatus();
}

absl::Status CaptureFile::SetTime(const Interface& interface, uint64_t units,
                                  CaptureRecord& record) {
  using Wide = __int128;
  const Wide nanoseconds =
      Wide{units} * kNanosecondsASecond / interface.units_a_second +
      Wide{interface.offset} * kNanosecondsASecond;
  if (nanoseconds < 0 || nanoseconds > Wide{kLastNanosecond}) {
    return Damaged("the timestamp is before 1970 or after the year 2262");
  }
  record.nanoseconds = last_time_ = static_cast<uint64_t>(nanoseconds);
  return absl::OkStatus();
}

}  // namespace sluice
