#include "dataplane/filters/state_judge.h"

#include <algorithm>
#include <string>
#include <utility>

#include "packet/drop_reason.h"
#include "pftable/classify/classify.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/translation.h"

namespace sluice {
namespace {

// Gives a packet the ends that its state has on the other side.
class AsTranslated final : public PoolChooser {
 public:
  explicit AsTranslated(const StateRecord& state) : state_(state) {}

  bool Choose(const Generation&, const CompiledRule&, Direction,
              PacketInfo* packet) override {
    if (state_.translated_family != packet->family) return true;
    packet->source = state_.translated_address[0].bytes;
    packet->destination = state_.translated_address[1].bytes;
    if (packet->source_port != Be16(0) || packet->destination_port != Be16(0)) {
      packet->source_port = Be16(state_.translated_port[0]);
      packet->destination_port = Be16(state_.translated_port[1]);
    }
    return true;
  }

 bool ChooseRoute(const Generation&, const CompiledRule&, const PacketInfo&,
                   Family, PacketRoute* route) override {
    *route = state_.values.route;
    return true;
  }

 private:
  const StateRecord& state_;
};

PacketInfo FirstPacketOf(const StateRecord& state) {
  PacketInfo packet{};
  packet.kind = Kind::kIp;
  packet.family = state.address[0].family;
  packet.proto = state.proto;
  packet.source = state.address[0].bytes;
  packet.destination = state.address[1].bytes;
  if (state.proto == protocol::kIcmp || state.proto == protocol::kIcmp6) {
    packet.icmp_type = static_cast<uint8_t>(state.port[1]);
    return packet;
  }
  packet.source_port = Be16(state.port[0]);
  packet.destination_port = Be16(state.port[1]);
  if (state.proto == protocol::kTcp) packet.tcp_flags = kTcpSyn;
  return packet;
}

}  // namespace

StateJudge::StateJudge(std::shared_ptr<const Generation> generation,
                       const PortSet& ports)
    : generation_(std::move(generation)),
      asks_arrival_(std::ranges::any_of(
          generation_->policy->rules,
          [](const CompiledRule& rule) {
            return rule.received_on.kind != InterfaceCondition::Kind::kNone;
          })),
      scratch_(*generation_) {
  std::map<std::string, std::shared_ptr<Arrivals>> segments, routers;
  const auto join = [](std::map<std::string, std::shared_ptr<Arrivals>>& groups,
                       const std::string& name) -> std::shared_ptr<Arrivals>& {
    std::shared_ptr<Arrivals>& group = groups[name];
    if (group == nullptr) group = std::make_shared<Arrivals>();
    return group;
  };
  for (const auto& [name, port] : ports.entries()) {
    Place& place = places_[port.interface.id];
    place.interface = port.interface;
    if (!port.router.empty()) {
      std::shared_ptr<Arrivals>& group = join(routers, port.router);
      // The router's own have come by no port.
      if (group->empty()) group->push_back(InterfaceView());
      group->push_back(port.interface);
      place.arrivals = group;
    } else if (!port.segment.empty()) {
      std::shared_ptr<Arrivals>& group = join(segments, port.segment);
      group->push_back(port.interface);
      place.arrivals = group;
    } else if (const auto other = ports.entries().find(port.wire);
               other != ports.entries().end()) {
      place.arrivals = std::make_shared<Arrivals>(
          Arrivals{other->second.interface});
    }
  }
}

bool StateJudge::Blocks(const StateRecord& state) {
  if (state.parent.id != 0) return false;
  Place place;
  if (const auto found = places_.find(state.interface);
      found != places_.end()) {
    place = found->second;
  } else {
    place.interface.id = state.interface;  // its port has gone
  }
  if (generation_->Skips(place.interface)) return false;
  if (state.direction == Direction::kIn) {
    return BlocksFrom(state, place, place.interface);
  }
  if (place.arrivals == nullptr) {
    return BlocksFrom(state, place, InterfaceView());
  }
  if (!asks_arrival_) return BlocksFrom(state, place, place.arrivals->front());
  return std::ranges::all_of(*place.arrivals, [&](InterfaceView arrival) {
    return BlocksFrom(state, place, arrival);
  });
}

bool StateJudge::BlocksFrom(const StateRecord& state, const Place& place,
                            InterfaceView received_on) {
  const PacketInfo packet = FirstPacketOf(state);
  AsTranslated chooser(state);
  Translation translation;
  translation.chooser = &chooser;
  uint16_t tag = state.values.tag;
  bool passes_at_once = false;
  if (!generation_->policy->translations[0].empty()) {
    const TranslationMatch match = ApplyTranslationRules(
        *generation_,
        {.packet = packet,
         .direction = state.direction,
         .interface = place.interface,
         .received_on = received_on,
         .tag = tag,
         .translation = &translation},
        scratch_.get());
    tag = match.tag;
    passes_at_once = match.rule != nullptr && match.rule->translation_pass;
  }
  if (passes_at_once) return false;
  const EvaluationInput input{
      .packet = translation.translated ? translation.packet : packet,
      .direction = state.direction,
      .interface = place.interface,
      .received_on = received_on,
      .tag = tag,
      .translation = &translation,
      .rehearsal = Rehearsal::kOfState,
      .made_by = state.values.rule_slot};
  const Verdict verdict =
      Classify(*generation_, input, cache_, scratch_.get());
  // That its rule has as many states as it may have is no judgement of it.
  return verdict.action == VerdictAction::kBlock &&
         verdict.reason == DropReason::kMatch;
}

}  // namespace sluice
