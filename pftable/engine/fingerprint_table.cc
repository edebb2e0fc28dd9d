#include "pftable/engine/fingerprint_table.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice {
namespace {

using Kind = SynValue::Kind;

// IP and TCP headers without options.
constexpr uint32_t kHeaderBytes = 40;
constexpr uint16_t kLongerIpv6 = 20;

bool Is(const SynValue& wanted, uint32_t value) {
  switch (wanted.kind) {
    case Kind::kAny:
      return true;
    case Kind::kMultiple:
      return wanted.value != 0 && value % wanted.value == 0;
    default:
      return value == wanted.value;
  }
}

bool IsTimes(uint32_t value, uint32_t unit, uint16_t times) {
  return value % unit == 0 && value / unit == times;
}

bool IsWindow(const SynValue& wanted, const SynSignature& syn) {
  if (wanted.kind != Kind::kOfMss && wanted.kind != Kind::kOfMtu) {
    return Is(wanted, syn.window);
  }
  if (syn.mss == 0) return false;
  const uint32_t more = wanted.kind == Kind::kOfMtu ? kHeaderBytes : 0;
  return IsTimes(syn.window, syn.mss + more, wanted.value) ||
         IsTimes(syn.window, kUsualMss + more, wanted.value);
}

}  // namespace

FingerprintTable::Signature FingerprintTable::SignatureOf(
    const OsNames::Entry& entry) {
  const Fingerprint& f = *entry.fingerprint;
  Signature s{.options = f.options,
              .rest = RestOf(f.option_count, f.dont_fragment || entry.ipv6,
                             f.timestamp_is_zero),
              .ttl = f.ttl,
              .window = f.window,
              .size = f.size,
              .mss = f.mss,
              .scale = f.scale,
              .ipv6 = entry.ipv6,
              .group = 0};
  if (entry.ipv6) s.size.value = static_cast<uint16_t>(s.size.value + kLongerIpv6);
  return s;
}

FingerprintTable::FingerprintTable(const OsNames& names) : groups_(1) {
  // Equal ones are one, of several systems.
  const auto key = [](const Signature& s) {
    const auto value = [](const SynValue& v) {
      return uint32_t{v.value} << 8 | static_cast<uint32_t>(v.kind);
    };
    return std::tuple(s.options, s.rest, s.ttl, value(s.window),
                      value(s.size), value(s.mss), value(s.scale), s.ipv6);
  };
  std::map<decltype(key(Signature())), Group> known;
  for (const OsNames::Entry& entry : names.entries()) {
    Signature signature = SignatureOf(entry);
    const auto [it, fresh] = known.try_emplace(
        key(signature), static_cast<Group>(groups_.size()));
    if (fresh) {
      groups_.emplace_back();
      signature.group = it->second;
      signatures_.push_back(signature);
    }
    groups_[it->second].push_back(entry.name);
  }
  std::stable_sort(signatures_.begin(), signatures_.end(),
                   [](const Signature& a, const Signature& b) {
                     return std::tie(a.options, a.rest) <
                            std::tie(b.options, b.rest);
                   });
}

bool FingerprintTable::Fits(const Signature& s, const SynSignature& syn) {
  return s.ttl >= syn.ttl && s.ttl - syn.ttl <= kMaxTtlLost &&
         Is(s.size, syn.size) && Is(s.mss, syn.mss) &&
         Is(s.scale, syn.scale) && IsWindow(s.window, syn);
}

FingerprintTable::Group FingerprintTable::Find(const SynSignature* syn) const {
  if (syn == nullptr) return 0;
  const uint16_t rest =
      RestOf(syn->option_count, syn->dont_fragment, syn->timestamp_is_zero);
  size_t low = 0;
  size_t high = signatures_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const Signature& s = signatures_[middle];
    const bool before = s.options < syn->options ||
                        (s.options == syn->options && s.rest < rest);
    if (before) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; low < signatures_.size(); ++low) {
    const Signature& s = signatures_[low];
    if (s.options != syn->options || s.rest != rest) return 0;
    if (Fits(s, *syn)) return s.group;
  }
  return 0;
}

std::vector<uint64_t> FingerprintTable::GroupsOf(const OsName& os) const {
  std::vector<uint64_t> bits((groups_.size() + 63) / 64);
  for (size_t g = 0; g < groups_.size(); ++g) {
    const bool is =
        os.unknown ? g == 0
                   : std::any_of(groups_[g].begin(), groups_[g].end(),
                                 [&](const OsName& name) {
                                   return os.Covers(name);
                                 });
    if (is) bits[g / 64] |= uint64_t{1} << (g % 64);
  }
  return bits;
}

}  // namespace sluice
