#include "pftable/support.h"

#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

class Finder {
 public:
  Finder(const Policy& policy, size_t limit)
      : policy_(policy), limit_(limit) {}

  std::vector<std::string> Run() {
    for (const ForeignDefinition& d : policy_.foreign) {
      Refuse(d.place, d.kind);
    }
    if (policy_.options.syncookies != Syncookies::kNever) {
      Refuse({}, "set syncookies");
    }
    Walk(policy_.main);
    return std::move(messages_);
  }

 private:
  void Refuse(const SourcePlace& place, std::string_view what) {
    if (messages_.size() < limit_) {
      messages_.push_back(absl::StrCat(PlaceText(policy_, place), "'",
                                       std::string(what),
                                       "' is not supported"));
    }
  }

  void Walk(const Anchor& anchor) {
    for (const Rule& r : anchor.rules.filter) CheckRule(r);
    for (const Rule& r : anchor.rules.scrub) Refuse(r.place, "scrub rule");
    for (const Rule& r : anchor.rules.nat) Refuse(r.place, "nat");
    for (const Rule& r : anchor.rules.rdr) Refuse(r.place, "rdr");
    for (const Rule& r : anchor.rules.binat) Refuse(r.place, "binat");
    for (const EtherRule& r : anchor.rules.ether) Refuse(r.place, "ether");
    for (const Anchor& child : anchor.children) Walk(child);
  }

  void CheckRule(const Rule& r) {
    auto refuse_if = [&](bool condition, std::string_view what) {
      if (condition) Refuse(r.place, what);
    };
    CheckAddress(r.source.address, r.place);
    CheckAddress(r.destination.address, r.place);
    refuse_if(!r.os.empty(), "os");
    refuse_if(r.prio.has_value(), "prio");
    refuse_if(r.max_pkt_rate.IsSet(), "max-pkt-rate");
    refuse_if(r.once, "once");
    refuse_if(r.set_prio.has_value(), "set prio");
    refuse_if(r.set_tos.has_value(), "set tos");
    refuse_if(r.scrub.IsSet(), "scrub");
    if (r.af_to != Family::kNone) {
      Refuse(r.place, "af-to");
    } else {
      refuse_if(r.nat.has_value(), "nat-to");
      refuse_if(r.rdr.has_value(), "rdr-to");
    }
    refuse_if(r.route == RouteKind::kRouteTo, "route-to");
    refuse_if(r.route == RouteKind::kReplyTo, "reply-to");
    refuse_if(r.route == RouteKind::kDupTo, "dup-to");
    refuse_if(r.state == StateKind::kModulate, "modulate state");
    refuse_if(r.state == StateKind::kSynproxy, "synproxy state");
    CheckStateOptions(r);
    CheckForeign(r);
  }

  void CheckAddress(const AddressMatch& a, const SourcePlace& place) {
    if (a.kind == AddressKind::kRouteLabel) Refuse(place, "route");
    if (a.modifiers.peer) Refuse(place, ":peer");
  }

  void CheckStateOptions(const Rule& r) {
    auto refuse_if = [&](bool condition, std::string_view what) {
      if (condition) Refuse(r.place, what);
    };
    const StateOptions& s = r.state_options;
    refuse_if(s.max_src_nodes != 0, "max-src-nodes");
    refuse_if(s.max_src_states != 0, "max-src-states");
    refuse_if(s.max_src_conn != 0, "max-src-conn");
    refuse_if(s.max_src_conn_rate.IsSet(), "max-src-conn-rate");
    refuse_if(!s.overload_table.empty(), "overload");
    refuse_if(s.source_track != SourceTrack::kNone, "source-track");
    refuse_if(s.pflow, "pflow");
    refuse_if(s.allow_related, "allow-related");
  }

  void CheckForeign(const Rule& r) {
    auto refuse_if = [&](bool condition, std::string_view what) {
      if (condition) Refuse(r.place, what);
    };
    const ForeignOptions& f = r.foreign;
    refuse_if(f.on_rdomain >= 0, "on rdomain");
    refuse_if(f.rtable >= 0, "rtable");
    refuse_if(f.divert == DivertKind::kTo, "divert-to");
    refuse_if(f.divert == DivertKind::kReply, "divert-reply");
    refuse_if(f.divert == DivertKind::kPacket, "divert-packet");
    refuse_if(!f.queue.empty(), "queue");
    refuse_if(f.delay != 0, "set delay");
    refuse_if(f.dummynet_pipe != 0 || f.dummynet_return_pipe != 0,
              f.dummynet_is_queue ? "dnqueue" : "dnpipe");
  }

  const Policy& policy_;
  const size_t limit_;
  std::vector<std::string> messages_;
};

}  // namespace

std::string PlaceText(const Policy& policy, const SourcePlace& place) {
  if (place.line == 0) return std::string();
  const std::string file =
      place.file < policy.files.size() ? policy.files[place.file] : "-";
  return absl::StrCat(file, ":", place.line, ":", place.column, ": ");
}

std::vector<std::string> FindUnsupported(const Policy& policy, size_t limit) {
  return Finder(policy, limit).Run();
}

}  // namespace sluice
