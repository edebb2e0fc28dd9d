#include "dataplane/sluicectl/packet_filter.h"

#include <pcap/pcap.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int kMostBytes = 65535;
constexpr int kPflog = 117;  // link type

pcap_pkthdr HeaderOf(uint64_t time_us, size_t captured, uint32_t length) {
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(time_us / 1'000'000);
  header.ts.tv_usec = static_cast<suseconds_t>(time_us % 1'000'000);
  header.caplen = static_cast<bpf_u_int32>(captured);
  header.len = length;
  return header;
}

const u_char* Bytes(std::string_view bytes) {
  return reinterpret_cast<const u_char*>(bytes.data());
}

}  // namespace

absl::StatusOr<PacketFilter> PacketFilter::Compile(
    const std::string& expression) {
  pcap_t* const pcap = ::pcap_open_dead(DLT_RAW, kMostBytes);
  if (pcap == nullptr) return absl::ResourceExhaustedError("no memory");
  PacketFilter filter;
  filter.program_ = std::make_unique<bpf_program>();
  absl::Status status;
  if (::pcap_compile(pcap, filter.program_.get(), expression.c_str(),
                     /*optimize=*/1, PCAP_NETMASK_UNKNOWN) != 0) {
    status = absl::InvalidArgumentError(
        absl::StrCat("'", expression, "': ", ::pcap_geterr(pcap)));
    filter.program_ = nullptr;
  }
  ::pcap_close(pcap);
  if (!status.ok()) return status;
  return filter;
}

PacketFilter::PacketFilter(PacketFilter&&) noexcept = default;

PacketFilter::~PacketFilter() {
  if (program_ != nullptr) ::pcap_freecode(program_.get());
}

bool PacketFilter::Matches(std::string_view bytes, uint32_t length) const {
  const pcap_pkthdr header = HeaderOf(0, bytes.size(), length);
  return ::pcap_offline_filter(program_.get(), &header, Bytes(bytes)) != 0;
}

absl::StatusOr<std::vector<uint32_t>> CompileFrameFilter(
    const std::string& expression) {
  pcap_t* const pcap = ::pcap_open_dead(DLT_EN10MB, kMostBytes);
  if (pcap == nullptr) return absl::ResourceExhaustedError("no memory");
  bpf_program program{};
  std::vector<uint32_t> steps;
  absl::Status status;
  if (::pcap_compile(pcap, &program, expression.c_str(), /*optimize=*/1,
                     PCAP_NETMASK_UNKNOWN) != 0) {
    status = absl::InvalidArgumentError(
        absl::StrCat("'", expression, "': ", ::pcap_geterr(pcap)));
  } else {
    for (u_int i = 0; i < program.bf_len; ++i) {
      const bpf_insn& step = program.bf_insns[i];
      steps.insert(steps.end(), {step.code, step.jt, step.jf, step.k});
    }
    ::pcap_freecode(&program);
  }
  ::pcap_close(pcap);
  if (!status.ok()) return status;
  return steps;
}

absl::StatusOr<PflogWriter> PflogWriter::Open(const std::string& path) {
  PflogWriter writer;
  writer.pcap_ = ::pcap_open_dead(kPflog, kMostBytes);
  if (writer.pcap_ == nullptr) return absl::ResourceExhaustedError("no memory");
  writer.dumper_ = ::pcap_dump_open(writer.pcap_, path.c_str());
  if (writer.dumper_ == nullptr) {
    return absl::InvalidArgumentError(::pcap_geterr(writer.pcap_));
  }
  return writer;
}

PflogWriter::PflogWriter(PflogWriter&& other) noexcept
    : pcap_(std::exchange(other.pcap_, nullptr)),
      dumper_(std::exchange(other.dumper_, nullptr)) {}

PflogWriter::~PflogWriter() {
  if (dumper_ != nullptr) ::pcap_dump_close(dumper_);
  if (pcap_ != nullptr) ::pcap_close(pcap_);
}

bool PflogWriter::Write(uint64_t time_us, std::string_view record,
                        uint32_t length) {
  const pcap_pkthdr header = HeaderOf(time_us, record.size(), length);
  ::pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, Bytes(record));
  return ::pcap_dump_flush(dumper_) == 0;
}

}  // namespace sluice
