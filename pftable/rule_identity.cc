#include "pftable/rule_identity.h"

#include <concepts>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Numbers in seven-bit groups, strings and lists with their length before
// them: no two sequences of values give the same bytes.
class Writer {
 public:
  void Add(bool value) { Number(value); }
  template <std::integral T>
  void Add(T value) {
    Number(static_cast<std::make_unsigned_t<T>>(value));
  }
  template <typename T>
    requires std::is_enum_v<T>
  void Add(T value) {
    Number(static_cast<uint64_t>(value));
  }
  void Add(const std::string& text) {
    Number(text.size());
    bytes_ += text;
  }
  template <typename T>
  void Add(const std::optional<T>& value) {
    Add(value.has_value());
    if (value) Add(*value);
  }
  template <typename T>
  void Add(const std::vector<T>& values) {
    Number(values.size());
    for (const T& value : values) Add(value);
  }
  template <typename T, size_t N>
  void Add(const std::array<T, N>& values) {
    for (const T& value : values) Add(value);
  }
  template <typename A, typename B>
  void Add(const std::pair<A, B>& pair) {
    All(pair.first, pair.second);
  }
  void Add(const Address& a) { All(a.family, a.bytes); }
  void Add(const LogOptions& l) {
    All(l.enabled, l.all, l.matches, l.user, l.pflog);
  }
  void Add(const InterfaceMatch& i) { All(i.name, i.negated); }
  void Add(const InterfaceModifiers& m) {
    All(m.network, m.broadcast, m.peer, m.no_alias);
  }
  void Add(const AddressMatch& a) {
    All(a.kind, a.negated, a.dynamic_prefix, a.modifiers, a.address, a.mask,
        a.range_end, a.name);
  }
  void Add(const PortMatch& p) { All(p.op, p.low, p.high); }
  void Add(const Endpoint& e) { All(e.address, e.port); }
  void Add(const IdMatch& i) { All(i.op, i.low, i.high); }
  void Add(const RateLimit& r) { All(r.count, r.seconds); }
  void Add(const TcpFlagsMatch& f) { All(f.set, f.mask); }
  void Add(const StateOptions& s) {
    All(s.max_states, s.max_src_nodes, s.max_src_states, s.max_src_conn,
        s.max_src_conn_rate, s.overload_table, s.overload_flush,
        s.overload_flush_global, s.source_track, s.no_sync, s.sloppy, s.pflow,
        s.allow_related, s.if_bound, s.timeouts);
  }
  void Add(const PoolAddress& p) { All(p.address, p.interface, p.weight); }
  void Add(const Pool& p) {
    All(p.addresses, p.method, p.hash_key, p.port_low, p.port_high,
        p.port_to_any, p.sticky_address, p.static_port,
        p.endpoint_independent, p.prefer_ipv6_nexthop, p.map_e_offset,
        p.map_e_length, p.map_e_id);
  }
  void Add(const ScrubOptions& s) {
    All(s.no_df, s.random_id, s.reassemble_tcp, s.min_ttl, s.max_mss,
        s.set_tos, s.no_fragment_reassembly);
  }
  void Add(const ForeignOptions& f) {
    All(f.on_rdomain, f.rtable, f.divert, f.divert_address, f.divert_port,
        f.queue, f.priority_queue, f.delay, f.dummynet_pipe,
        f.dummynet_return_pipe, f.dummynet_is_queue);
  }

  template <typename... T>
  void All(const T&... values) {
    (Add(values), ...);
  }

  std::string Take() { return std::move(bytes_); }

 private:
  void Number(uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      bytes_ += static_cast<char>(value | 0x80);
    }
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace

std::string RuleIdentity(const Rule& r) {
  Writer w;
  w.All(r.action, r.block_return, r.return_rst_ttl, r.return_icmp_code,
        r.return_icmp6_code, r.direction, r.log, r.quick, r.on, r.family,
        r.protocol, r.source, r.destination, r.os, r.received_on, r.user,
        r.group, r.flags, r.icmp_type, r.icmp_code, r.tos, r.prio,
        r.max_pkt_rate, r.max_pkt_size, r.fragment, r.allow_opts, r.once,
        r.tag, r.tagged, r.tagged_negated, r.probability, r.labels,
        r.ridentifier, r.state, r.state_options, r.set_prio, r.set_tos,
        r.scrub, r.nat, r.rdr, r.af_to, r.translation_pass, r.route,
        r.route_pool, r.foreign, r.anchor_call, r.anchor_path,
        r.anchor_wildcard);
  return w.Take();
}

}  // namespace sluice
