#include "dataplane/sluicectl/capture_frame.h"

#include <pcap/pcap.h>

#include <memory>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/packet_words.h"
#include "packet/frame_view.h"
#include "packet/parse.h"

namespace sluice {
namespace {

using nlohmann::json;

struct Close {
  void operator()(pcap_t* pcap) const { ::pcap_close(pcap); }
};

constexpr size_t kEthernetBytes = 14;

std::string Hex(const std::vector<uint8_t>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// An IP packet alone gets a header before it.
std::vector<uint8_t> WithHeader(const u_char* data, size_t size) {
  std::vector<uint8_t> frame(kEthernetBytes);
  const bool v6 = size > 0 && data[0] >> 4 == 6;
  frame[12] = v6 ? 0x86 : 0x08;
  frame[13] = v6 ? 0xdd : 0x00;
  frame.insert(frame.end(), data, data + size);
  return frame;
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadFrame(const std::string& file) {
  std::string path = file;
  uint32_t wanted = 1;
  const size_t colon = file.rfind(':');
  if (colon != file.npos) {
    const std::optional<uint32_t> number =
        ReadNumber(std::string_view(file).substr(colon + 1), UINT32_MAX);
    if (!number || *number == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", file, "': say FILE:N, N is which packet, from 1"));
    }
    wanted = *number;
    path = file.substr(0, colon);
  }
  char error[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, Close> pcap(
      ::pcap_open_offline(path.c_str(), error));
  if (pcap == nullptr) {
    return absl::NotFoundError(absl::StrCat("'", path, "': ", error));
  }
  const int link = ::pcap_datalink(pcap.get());
  const bool ethernet = link == DLT_EN10MB;
  if (!ethernet && link != DLT_RAW && link != DLT_IPV4 && link != DLT_IPV6) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", path, "': packets of another link layer than Ethernet or IP "
        "alone; capture at one interface, not at all"));
  }
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  for (uint32_t number = 1; number <= wanted; ++number) {
    const int got = ::pcap_next_ex(pcap.get(), &header, &data);
    if (got == 1) continue;
    if (got == PCAP_ERROR_BREAK) {
      return absl::NotFoundError(absl::StrCat(
          "'", path, "': there are ", number - 1, " packets, not ", wanted));
    }
    return absl::DataLossError(
        absl::StrCat("'", path, "': ", ::pcap_geterr(pcap.get())));
  }
  const size_t most =
      FrameView::kMostBytes - (ethernet ? 0 : kEthernetBytes);
  if (header->caplen > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "': packet ", wanted, " is too long"));
  }
  if (!ethernet) return WithHeader(data, header->caplen);
  return std::vector<uint8_t>(data, data + header->caplen);
}

absl::StatusOr<json> PacketOf(std::vector<uint8_t>& frame) {
  const FrameView view(frame);
  PacketInfo info{};
  ParsePacket(view.mbuf(), {.verify_checksums = false}, &info);
  if (info.kind != Kind::kIp) {
    return absl::InvalidArgumentError(
        info.kind == Kind::kMalformed
            ? absl::StrCat("the packet would be dropped before any rule: ",
                           std::string(Name(info.drop)))
            : "the packet is not IP: no rule is asked");
  }
  json packet = {{"source", ToString(info.source_address())},
                 {"destination", ToString(info.destination_address())},
                 {"protocol", info.proto},
                 {"tos", info.tos},
                 {"length", info.ip_length},
                 {"frame", Hex(frame)}};
  if (info.has(kIpOptions)) packet["ip_options"] = true;
  if (info.has(kFragment)) {
    packet["fragment"] = true;
    return packet;
  }
  switch (info.proto) {
    case protocol::kTcp:
      packet["tcp_flags"] = info.tcp_flags;
      [[fallthrough]];
    case protocol::kUdp:
    case protocol::kSctp:
      packet["source_port"] = info.source_port.host();
      packet["destination_port"] = info.destination_port.host();
      break;
    case protocol::kIcmp:
    case protocol::kIcmp6:
      packet["icmp_type"] = info.icmp_type;
      packet["icmp_code"] = info.icmp_code;
      break;
    default:
      break;
  }
  return packet;
}

}  // namespace sluice
