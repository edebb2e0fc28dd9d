// libpcap's expressions ("tcp port 80 and not host 192.0.2.1"), and capture
// files of the packet log.
#ifndef SLUICE_DATAPLANE_SLUICECTL_PACKET_FILTER_H_
#define SLUICE_DATAPLANE_SLUICECTL_PACKET_FILTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct bpf_program;
struct pcap;
struct pcap_dumper;

namespace sluice {

// An expression over packets that begin with their IP header.
class PacketFilter {
 public:
  // InvalidArgument: what libpcap says of it.
  static absl::StatusOr<PacketFilter> Compile(const std::string& expression);
  PacketFilter(PacketFilter&&) noexcept;
  ~PacketFilter();

  // `length`: of the whole packet, of which `bytes` may be a part.
  bool Matches(std::string_view bytes, uint32_t length) const;

 private:
  PacketFilter() = default;
  std::unique_ptr<bpf_program> program_;
};

// An expression over Ethernet frames as a classic BPF program, four numbers a
// step: code, jt, jf, k. InvalidArgument: what libpcap says of it.
absl::StatusOr<std::vector<uint32_t>> CompileFrameFilter(
    const std::string& expression);

// A capture file with pf's log header before each packet, as tcpdump reads it.
class PflogWriter {
 public:
  // "-" is standard output.
  static absl::StatusOr<PflogWriter> Open(const std::string& path);
  PflogWriter(PflogWriter&& other) noexcept;
  ~PflogWriter();

  // At once; false: it could not be written.
  bool Write(uint64_t time_us, std::string_view record, uint32_t length);

 private:
  PflogWriter() = default;
  pcap* pcap_ = nullptr;
  pcap_dumper* dumper_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_PACKET_FILTER_H_
