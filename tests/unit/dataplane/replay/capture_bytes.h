// Capture files byte by byte, after the formats' descriptions
// (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng), so that the reader is
// not tested with its own library's writer.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_REPLAY_CAPTURE_BYTES_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_REPLAY_CAPTURE_BYTES_H_

#include <cstdint>
#include <string>

namespace sluice {

inline void AppendNumber(std::string& bytes, uint64_t value, int size,
                         bool big_endian) {
  for (int i = 0; i < size; ++i) {
    const int shift = 8 * (big_endian ? size - 1 - i : i);
    bytes += static_cast<char>(value >> shift);
  }
}

struct PcapBytes {
  bool big_endian = false;
  bool nanoseconds = false;
  uint32_t link_type = 1;

  std::string Header() const {
    std::string bytes;
    AppendNumber(bytes, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 4, big_endian);
    AppendNumber(bytes, 2, 2, big_endian);
    AppendNumber(bytes, 4, 2, big_endian);
    AppendNumber(bytes, 0, 8, big_endian);
    AppendNumber(bytes, 262144, 4, big_endian);
    AppendNumber(bytes, link_type, 4, big_endian);
    return bytes;
  }
  // `fraction` counts the file's unit. An original length of 0 stands for the
  // captured one.
  std::string Packet(uint32_t seconds, uint32_t fraction,
                     const std::string& data,
                     size_t original_length = 0) const {
    std::string bytes;
    AppendNumber(bytes, seconds, 4, big_endian);
    AppendNumber(bytes, fraction, 4, big_endian);
    AppendNumber(bytes, data.size(), 4, big_endian);
    AppendNumber(bytes, original_length ? original_length : data.size(), 4,
                 big_endian);
    return bytes + data;
  }
};

struct PcapngBytes {
  int resolution = 9;  // the exponent of if_tsresol; -1: the option is absent
  bool big_endian = false;

  std::string Block(uint32_t type, std::string body) const {
    body.resize((body.size() + 3) / 4 * 4);
    std::string bytes;
    AppendNumber(bytes, type, 4, big_endian);
    AppendNumber(bytes, body.size() + 12, 4, big_endian);
    bytes += body;
    AppendNumber(bytes, body.size() + 12, 4, big_endian);
    return bytes;
  }
  std::string Section() const {
    std::string section;
    AppendNumber(section, 0x1a2b3c4d, 4, big_endian);
    AppendNumber(section, 1, 2, big_endian);
    AppendNumber(section, 0, 2, big_endian);
    AppendNumber(section, ~uint64_t{0}, 8, big_endian);
    return Block(0x0a0d0d0a, section);
  }
  // `options` are behind that of the resolution, which is one byte.
  std::string Interface(uint32_t link_type, uint32_t snapshot_length,
                        const std::string& options = {}) const {
    std::string interface;
    AppendNumber(interface, link_type, 2, big_endian);
    AppendNumber(interface, 0, 2, big_endian);
    AppendNumber(interface, snapshot_length, 4, big_endian);
    if (resolution >= 0) {
      AppendNumber(interface, 9, 2, big_endian);
      AppendNumber(interface, 1, 2, big_endian);
      interface += static_cast<char>(resolution);
      interface += std::string(3, '\0');
    }
    interface += options;
    if (resolution >= 0) AppendNumber(interface, 0, 4, big_endian);
    return Block(1, interface);
  }
  // The section header and one Ethernet interface.
  std::string Header() const { return Section() + Interface(1, 262144); }

  // An original length of 0 stands for the captured one.
  std::string Packet(uint64_t time, const std::string& data,
                     uint32_t interface = 0,
                     size_t original_length = 0) const {
    std::string body;
    AppendNumber(body, interface, 4, big_endian);
    AppendNumber(body, time >> 32, 4, big_endian);
    AppendNumber(body, time & 0xffffffff, 4, big_endian);
    AppendNumber(body, data.size(), 4, big_endian);
    AppendNumber(body, original_length ? original_length : data.size(), 4,
                 big_endian);
    return Block(6, body + data);
  }
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_REPLAY_CAPTURE_BYTES_H_
