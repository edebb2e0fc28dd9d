// A fragment cache beside the plain model of one: both are told the same, and
// have to say the same. For random walks and for the fuzzer.
#ifndef SLUICE_TESTS_PROPERTY_FRAGMENT_CHECK_H_
#define SLUICE_TESTS_PROPERTY_FRAGMENT_CHECK_H_

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "conntrack/fragment_cache.h"
#include "packet/checksum.h"
#include "packet/fragment.h"
#include "packet/headers.h"
#include "packet/parse.h"
#include "tests/property/fragment_model.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {

class FragmentCheck {
 public:
  FragmentCheck(MbufPool* pool, bool v6)
      : pool_(*pool),
        v6_(v6),
        model_(v6),
        cache_(16384, HashSecret::FromSeed(1), &FragmentCheck::Drop, this) {}

  // What was wrong, or nothing.
  std::optional<std::string> Step(const ModelFragment& fragment,
                                  uint32_t segment_size, uint32_t padding) {
    std::vector<uint8_t> frame = FrameOf(fragment);
    frame.resize(frame.size() + padding);
    rte_mbuf* mbuf = pool_.Make(frame, segment_size);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    if (info.kind != Kind::kIp || !info.has(kFragment)) {
      rte_pktmbuf_free(mbuf);
      return "the parser takes it for no fragment";
    }
    dropped_ = 0;
    const FragmentResult result =
        cache_.Add(mbuf, info, {.limit = 16384}, /*now=*/0);
    const ModelAnswer answer = model_.Add(fragment);
    std::optional<std::string> wrong;
    if (static_cast<int>(result.kind) != static_cast<int>(answer.kind)) {
      wrong = "held, whole or dropped: not both say the same";
    } else if (dropped_ != answer.lost) {
      wrong = "another number of fragments was lost";
    }
    if (result.kind == FragmentResult::Kind::kDropped) rte_pktmbuf_free(mbuf);
    if (result.kind == FragmentResult::Kind::kWhole) {
      ++wholes_;
      const auto about = CheckWhole(result.whole, answer);
      if (!wrong) wrong = about;
    }
    if (wrong) return wrong;
    if (cache_.held() != model_.held()) return "another number is held";
    if (pool_.InUse() != cache_.segments()) return "mbufs are lost";
    return std::nullopt;
  }

  uint64_t wholes() const { return wholes_; }
  bool Finish() {
    while (!cache_.Clear(8)) {
    }
    return pool_.InUse() == 0 && cache_.segments() == 0 && cache_.held() == 0;
  }

 private:
  static void Drop(void* self, rte_mbuf* mbuf) {
    ++static_cast<FragmentCheck*>(self)->dropped_;
    rte_pktmbuf_free(mbuf);
  }

  std::vector<uint8_t> FrameOf(const ModelFragment& fragment) const {
    std::vector<uint8_t> frame(14);
    const auto put = [&frame](const void* bytes, size_t length) {
      const auto* first = static_cast<const uint8_t*>(bytes);
      frame.insert(frame.end(), first, first + length);
    };
    const uint16_t type = v6_ ? wire::ethertype::kIpv6 : wire::ethertype::kIpv4;
    frame[12] = static_cast<uint8_t>(type >> 8);
    frame[13] = static_cast<uint8_t>(type);
    constexpr uint8_t kProto = 253;  // for experiments: no header is looked for
    const size_t length = fragment.data.size();
    if (v6_) {
      wire::Ipv6 ip{};
      ip.version_class_flow = Be32(0x60000000);
      ip.payload_length = Be16(static_cast<uint16_t>(8 + length));
      ip.next_header = protocol::kIpv6Fragment;
      ip.hop_limit = 64;
      ip.source[15] = 1;
      ip.destination[15] = 2;
      put(&ip, sizeof ip);
      wire::Ipv6Fragment header{};
      header.next_header = kProto;
      header.offset_flags =
          Be16(static_cast<uint16_t>(fragment.offset | (fragment.more ? 1 : 0)));
      header.id = Be32(fragment.id);
      put(&header, sizeof header);
    } else {
      wire::Ipv4 ip{};
      ip.version_length = 0x45;
      ip.total_length = Be16(static_cast<uint16_t>(20 + length));
      ip.id = Be16(static_cast<uint16_t>(fragment.id));
      ip.fragment = Be16(static_cast<uint16_t>(
          fragment.offset / 8 |
          (fragment.more ? wire::kIpv4MoreFragments : 0u)));
      ip.ttl = 64;
      ip.proto = kProto;
      ip.source = {10, 0, 0, 1};
      ip.destination = {10, 0, 0, 2};
      ip.checksum = Be16::FromRaw(
          static_cast<uint16_t>(~FoldSum(PartialSum(&ip, sizeof ip))));
      put(&ip, sizeof ip);
    }
    put(fragment.data.data(), length);
    return frame;
  }

  // Takes the datagram.
  std::optional<std::string> CheckWhole(rte_mbuf* whole,
                                        const ModelAnswer& answer) {
    std::optional<std::string> wrong;
    PacketInfo info;
    ParsePacket(*whole, {}, &info);
    const std::vector<uint8_t> bytes = BytesOf(whole);
    if (info.kind != Kind::kIp || info.has(kFragment) ||
        !info.has(kReassembled)) {
      wrong = "the whole is no packet";
    } else if (std::vector<uint8_t>(bytes.begin() + info.l4_offset,
                                    bytes.end()) != answer.whole) {
      wrong = "the whole has other bytes";
    } else if (CountFragments(*whole) != answer.fragments) {
      wrong = "the whole counts as other than it was made of";
    }
    FragmentSplitter splitter(whole);
    std::vector<uint8_t> joined;
    uint32_t count = 0;
    bool more = true;
    while (rte_mbuf* mbuf = splitter.Next()) {
      PacketInfo part;
      ParsePacket(*mbuf, {}, &part);
      const std::vector<uint8_t> frame = BytesOf(mbuf);
      if (part.kind != Kind::kIp || !part.has(kFragment) || !more ||
          part.sequence != joined.size() || part.acknowledgment == 0 ||
          frame.size() != uint32_t{part.l3_offset} + part.ip_length) {
        wrong = wrong ? wrong : "a fragment is not as it came";
      } else {
        joined.insert(joined.end(), frame.begin() + part.l4_offset,
                      frame.end());
        more = part.has(kMoreFragments);
      }
      ++count;
      rte_pktmbuf_free(mbuf);
    }
    if (!wrong && (joined != answer.whole || count != answer.fragments || more)) {
      wrong = "the fragments are not the datagram";
    }
    return wrong;
  }

  MbufPool& pool_;
  const bool v6_;
  FragmentModel model_;
  FragmentCache cache_;
  uint32_t dropped_ = 0;
  uint64_t wholes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_PROPERTY_FRAGMENT_CHECK_H_
