// Ports, as the control socket asks for them.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/host/pci_address.h"
#include "dataplane/ports/run_time_devices.h"
#include "dataplane/router/router_host.h"
#include "dataplane/router/tap.h"
#include "dataplane/workers/worker.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

absl::Status NoPort(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no port '", View(name), "'"));
}

// Errors: the first text that is no binding; too many.
absl::StatusOr<SpoofSettings> SettingsOf(
    std::string_view port, const std::vector<std::string>& bindings,
    uint8_t learn) {
  SpoofSettings settings = {.bindings = {}, .learn = learn};
  if (bindings.size() > kMaxSpoofBindings || learn > kMaxSpoofLearned) {
    return absl::InvalidArgumentError(absl::StrCat(
        "port ", View(port), ": at most ", kMaxSpoofBindings,
        " bindings, and ", int{kMaxSpoofLearned}, " learned ones"));
  }
  for (const std::string& text : bindings) {
    const std::optional<SpoofBinding> binding = ParseSpoofBinding(text);
    if (!binding) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", View(port), ": '", PrintableName(text),
          "' is no binding; write \"02:00:00:00:00:01 10.0.0.2\", one of "
          "the two alone, or a network, and \"vlan 42\" behind"));
    }
    settings.bindings.push_back(*binding);
  }
  return settings;
}

}  // namespace

PortListing FilterRegistry::ListingOf(const PortSet::Entry& port) const {
  PortListing listing;
  listing.name = port.config.name;
  listing.filter = by_number_[port.filter]->filter->name();
  listing.wire = port.wire;
  listing.segment = port.segment;
  listing.router = port.router;
  listing.parent = port.config.parent;
  listing.vlan = port.config.tags.outer;
  listing.inner_vlan = port.config.tags.inner;
  listing.vhost = port.config.vhost.path;
  listing.vhost_client = port.config.vhost.client;
  listing.enabled = port.enabled;
  listing.excluded = port.excluded;
  listing.incarnation = port.incarnation;
  listing.guarded = port.guard != nullptr;
  const PortSet::Entry* const on = ports_.DeviceOf(port);
  if (on == nullptr) return listing;
  const Port& device = *on->device;
  listing.device = std::string(on->config.device_name());
  listing.driver = device.driver();
  listing.mac = device.Mac();
  listing.link_up = device.link().up;
  listing.speed = device.link().speed;
  listing.rx_queues = device.rx_queues();
  listing.tx_queues = device.tx_queues();
  const PortSums counters = ports_.Counters(port);
  listing.received_packets = counters.received_packets;
  listing.received_bytes = counters.received_bytes;
  listing.transmitted_packets = counters.transmitted_packets;
  listing.transmitted_bytes = counters.transmitted_bytes;
  listing.copies = counters.copies;
  listing.copies_lost = counters.copies_lost;
  // The device does not know whose frames it has lost: its own port counts them.
  if (on != &port) return listing;
  const ::sluice::PortStatistics statistics = device.Statistics();
  listing.missed = statistics.missed;
  listing.errors = statistics.receive_errors + statistics.transmit_errors +
                   statistics.no_mbuf;
  return listing;
}

std::vector<PortListing> FilterRegistry::Ports(std::string_view after,
                                               size_t limit) {
  std::vector<PortListing> listings;
  const auto& entries = ports_.entries();
  for (auto at = entries.upper_bound(after);
       at != entries.end() && listings.size() < limit; ++at) {
    listings.push_back(ListingOf(at->second));
  }
  return listings;
}

absl::StatusOr<std::vector<NamedCounter>> FilterRegistry::PortStatistics(
    std::string_view name) {
  const PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return NoPort(name);
  if (port->config.is_logical()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", port->config.name, " has no device of its own: ask for port ",
        port->config.parent));
  }
  if (port->device == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("port ", port->config.name, " has no device"));
  }
  std::vector<NamedCounter> counters;
  for (auto& [counter, value] : port->device->ExtendedStatistics()) {
    counters.push_back({.name = counter, .value = value});
  }
  if (port->answer_arp) {
    counters.push_back({.name = "address_conflicts",
                        .value = ports_.Counters(*port).address_conflicts});
  }
  return counters;
}

// ---- Plugging in -----------------------------------------------------------

class FilterRegistry::AddPortJob final : public BuildJob<PortListing> {
 public:
  AddPortJob(FilterRegistry* registry, PortSpec spec)
      : registry_(*registry),
        allowed_(registry->environment_.run_time_devices),
        spec_(std::move(spec)) {
    config_.name = spec_.name;
    config_.device = spec_.device;
    config_.vhost = {.path = spec_.vhost, .client = spec_.vhost_client};
    config_.groups = spec_.groups;
    config_.addresses = spec_.addresses;
    config_.queues = spec_.queues;
    if (spec_.mtu != 0) config_.mtu = spec_.mtu;
    config_.tap = spec_.tap;
    config_.parent = spec_.parent;
    config_.tags = {.outer = spec_.vlan, .inner = spec_.inner_vlan};
    if (config_.is_logical()) {
      if (std::ranges::find(config_.groups, kVlanGroup) ==
          config_.groups.end()) {
        config_.groups.emplace_back(kVlanGroup);
      }
      if (const PortSet::Entry* parent =
              registry_.ports_.Find(config_.parent)) {
        if (spec_.mtu == 0) config_.mtu = parent->config.mtu;
        if (config_.mtu > parent->config.mtu) {
          early_ = absl::InvalidArgumentError(absl::StrCat(
              "port ", config_.name, ": its MTU of ", config_.mtu,
              " is above its parent's, ", parent->config.mtu));
        }
      }
    }
    absl::StatusOr<SpoofSettings> guard =
        SettingsOf(spec_.name, spec_.bindings, spec_.learn);
    if (guard.ok()) config_.guard = *guard;
    if (config_.is_pci()) NormalisePciAddress(&config_.device);
    status_ = registry_.ports_.CheckPlug(config_, spec_.wire, spec_.kept);
    if (status_.ok()) status_ = guard.status();
    // Whatever becomes of it now, it is to come back.
    if (spec_.kept && !absl::IsAlreadyExists(status_)) {
      registry_.added_ports_[spec_.name] = spec_;
    }
    if (status_.ok()) status_ = early_;
    if (status_.ok() && !spec_.segment.empty()) {
      status_ = registry_.ports_.CheckAttach(spec_.segment, spec_.name);
    }
    if (status_.ok()) status_ = CheckRouter();
    if (status_.ok() && !config_.is_logical()) {
      status_ = config_.is_vhost()
                    ? CheckRunTimeSocket(config_.vhost.path, allowed_)
                    : CheckRunTimeDevice(config_.device, allowed_);
    }
  }

  void Build() override {
    if (status_.ok()) BuildDevice();
    if (!status_.ok() || spec_.router.empty()) return;
    const MacAddress mac = port_ != nullptr ? port_->link_address()
                                            : parent_mac_;
    absl::StatusOr<std::unique_ptr<Tap>> tap =
        Tap::Make({.name = config_.tap_name(),
                   .netns = netns_,
                   .mac = mac,
                   .mtu = config_.mtu});
    status_ = tap.status();
    if (tap.ok()) tap_ = *std::move(tap);
  }

  void BuildDevice() {
    if (config_.is_logical()) return;
    if (status_.ok()) {
      status_ = config_.is_vhost()
                    ? CheckRunTimeSocketPath(config_.vhost.path, allowed_)
                    : CheckRunTimePath(config_.device, allowed_);
    }
    if (!status_.ok()) return;
    const Port::Options& options = registry_.ports_.options();
    absl::StatusOr<std::unique_ptr<Port>> port =
        Port::Open(config_, options, Steering(options.workers));
    status_ = port.status();
    if (!port.ok()) return;
    port_ = *std::move(port);
    status_ = port_->Start();
  }

  absl::StatusOr<PortListing> Publish() override {
    if (!status_.ok()) return status_;
    // It was looked up when the order came; others may have come before it.
    if (!spec_.segment.empty()) {
      if (absl::Status s =
              registry_.ports_.CheckAttach(spec_.segment, spec_.name);
          !s.ok()) {
        return s;
      }
    }
    if (absl::Status s = CheckRouter(); !s.ok()) return s;
    absl::StatusOr<PortSet::Entry*> plugged = PlugIn();
    if (!plugged.ok()) return plugged.status();
    if (!spec_.segment.empty()) {
      const absl::Status attached =
          registry_.ports_.Attach(spec_.segment, spec_.name);
      if (!attached.ok()) LogError("{}", std::string(attached.message()));
    }
    if (tap_ != nullptr) JoinRouter((*plugged)->number);
    registry_.added_ports_[spec_.name] = spec_;
    PortSet::Entry& entry = **plugged;
    Registered& of = registry_.OfPort(entry);
    of.filter->Status().Join(entry);
    registry_.Begin(of);
    registry_.RefreshRules();
    if (entry.config.is_logical()) {
      LogInfo("port {}: added, VLAN {} of {}", spec_.name,
              ToString(VlanId::Of(spec_.vlan, spec_.inner_vlan)),
              spec_.parent);
    } else {
      LogInfo("port {}: plugged in, {} ({})", spec_.name,
                   entry.config.device_name(), entry.device->driver());
    }
    return registry_.ListingOf(entry);
  }

 private:
  absl::Status CheckRouter() {
    if (spec_.router.empty()) {
      if (spec_.tap.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config_.name, ": an interface of the kernel is for a port "
          "of a router; give its name, too"));
    }
    if (!IsTapName(config_.tap_name())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "port ", config_.name, ": the kernel's interface cannot be named '",
          PrintableName(config_.tap_name()),
          "': use a letter, then letters, digits, '_', '-' and '.', at most ",
          kMaxTapName, " bytes"));
    }
    if (absl::Status s = registry_.ports_.CheckJoin(
            spec_.router, config_.name, config_.tap_name());
        !s.ok()) {
      return s;
    }
    netns_ = registry_.ports_.routers().find(spec_.router)->second.config.netns;
    const PortSet::Entry* const parent =
        config_.is_logical() ? registry_.ports_.Find(config_.parent) : nullptr;
    if (parent != nullptr && parent->device != nullptr) {
      parent_mac_ = parent->device->link_address();
    }
    return absl::OkStatus();
  }

  void JoinRouter(uint16_t number) {
    RouterHost* const routers = registry_.environment_.routers;
    absl::Status status =
        routers->AddPort(spec_.router, number, spec_.name, std::move(tap_));
    if (status.ok()) status = registry_.ports_.Join(spec_.router, spec_.name);
    if (!status.ok()) LogError("{}", std::string(status.message()));
  }

  absl::StatusOr<PortSet::Entry*> PlugIn() {
    const bool enabled = !spec_.disabled;
    if (config_.is_logical()) {
      return registry_.ports_.PlugLogical(config_, spec_.wire,
                                          spec_.pass_non_ip, enabled,
                                          spec_.kept);
    }
    for (const std::string& warning : port_->warnings()) {
      LogWarning("{}", warning);
    }
    return registry_.ports_.Plug(std::move(port_), spec_.wire,
                                 spec_.pass_non_ip, enabled, spec_.kept);
  }

  FilterRegistry& registry_;
  const RunTimeDevices& allowed_;
  const PortSpec spec_;
  PortConfig config_;
  absl::Status status_;
  absl::Status early_;  // of what is found before the port is looked at
  std::unique_ptr<Port> port_;
  // With a router.
  std::string netns_;
  MacAddress parent_mac_{};
  std::unique_ptr<Tap> tap_;
};

std::unique_ptr<BuildJob<PortListing>> FilterRegistry::BeginAddPort(
    PortSpec spec) {
  return std::make_unique<AddPortJob>(this, std::move(spec));
}

void FilterRegistry::RemovePort(std::string_view name, DoneStatus done) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port != nullptr) {
    if (absl::Status s = ports_.CheckUnplug(*port); !s.ok()) return done(s);
  }
  const bool added = added_ports_.erase(std::string(name)) > 0;
  if (port == nullptr || port->number == kNoPort) {
    // One whose device did not come back is forgotten.
    if (added) return done(absl::OkStatus());
  }
  if (port == nullptr) return done(NoPort(name));
  if (port->number == kNoPort) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("port ", port->config.name, " has no device")));
  }
  OfPort(*port).filter->Status().Leave(*port);
  std::shared_ptr<Tap> tap;
  if (!port->router.empty()) {
    tap = environment_.routers->RemovePort(port->number);
  }
  ports_.Unplug(port, [this, name = std::string(name), tap = std::move(tap),
                       done = std::move(done)](
                          std::unique_ptr<Port> device) mutable {
    auto then = [this, name, done = std::move(done)] {
      LogInfo("port {}: removed", name);
      ports_.Forget(name);
      RefreshRules();
      done(absl::OkStatus());
    };
    Close(std::move(device), std::move(then), std::move(tap));
  });
}

// On the builder thread: closing a device may take long, and so may closing an
// interface of the kernel, whose name is free behind it.
void FilterRegistry::Close(std::unique_ptr<Port> device,
                           std::function<void()> then,
                           std::shared_ptr<Tap> tap) {
  std::shared_ptr<Port> closing = std::move(device);
  auto close = [closing, tap]() mutable {
    tap.reset();
    closing.reset();
  };
  closing.reset();
  tap.reset();
  if (!builder_.Submit(std::move(close), then)) then();
}

void FilterRegistry::PollRemovals() {
  for (PortSet::Entry* port : ports_.RemovedByHand()) {
    const std::string name = port->config.name;
    LogError("port {}: its device {} is being taken out; the port is "
                  "down, the others go on",
                  name, port->config.device_name());
    ports_.TakeOut(port, [this, name](std::unique_ptr<Port> device) {
      Close(std::move(device), [name] {
        LogInfo("port {}: its device is released", name);
      });
    });
  }
}

absl::Status FilterRegistry::SetInterfaceAddresses(
    std::span<const InterfaceAddresses> all) {
  absl::Status status;
  bool others = false;
  for (const InterfaceAddresses& of : all) {
    const absl::StatusOr<bool> changed =
        ports_.SetAddresses(of.port, of.addresses);
    status.Update(changed.status());
    others = others || (changed.ok() && *changed);
  }
  if (others) RefreshRules();
  return status;
}

void FilterRegistry::RefreshRules() {
  // Those that a round under way has not come to yet are in front as they were,
  // so that all have their turn however often this is called.
  std::set<const LiveFilter*> waiting;
  for (const auto& filter : to_refresh_) waiting.insert(filter.get());
  const auto add = [&](const std::shared_ptr<LiveFilter>& filter) {
    if (!waiting.contains(filter.get())) to_refresh_.push_back(filter);
  };
  add(main_.filter);
  for (const auto& [name, of] : filters_) {
    add(of.filter);
    LiveFilter* const emergency = of.filter->emergency();
    if (emergency != nullptr) add(emergency->shared_from_this());
  }
  if (!refreshing_) RefreshNext();
}

// One filter after the other, so that other work of the builder comes between.
void FilterRegistry::RefreshNext() {
  refreshing_ = !to_refresh_.empty();
  if (!refreshing_) return;
  const std::shared_ptr<LiveFilter> filter = to_refresh_.front();
  to_refresh_.pop_front();
  using Staged = absl::StatusOr<StagedGeneration>;
  auto staged = std::make_shared<Staged>(StagedGeneration());
  auto build = [filter, staged] { *staged = filter->store().StageRefresh(); };
  auto finish = [this, filter, staged] {
    if (staged->ok() && !filter->store().IsUpToDate(**staged)) {
      to_refresh_.push_front(filter);
      return RefreshNext();
    }
    const absl::Status status =
        staged->ok() ? filter->store().Publish(*std::move(*staged))
                     : staged->status();
    if (!status.ok()) {
      LogError("filter {}: the rules cannot follow the ports: {}",
                    filter->name(), std::string(status.message()));
    } else if (filter->store().HasOldAddresses()) {
      // They have changed once more, or a load was built before that.
      to_refresh_.push_front(filter);
    }
    RefreshNext();
  };
  if (builder_.Submit(std::move(build), std::move(finish))) return;
  LogWarning("too much work: rules follow the ports at the next load");
  to_refresh_.clear();
  refreshing_ = false;
}

// ---- Switching -------------------------------------------------------------

void FilterRegistry::NoteEnabled(const PortSet::Entry& port) {
  const auto added = added_ports_.find(port.config.name);
  if (added != added_ports_.end()) added->second.disabled = !port.enabled;
}

std::vector<PortSpec> FilterRegistry::added_ports() const {
  std::vector<PortSpec> ports;
  for (const auto& [name, spec] : added_ports_) ports.push_back(spec);
  return ports;
}

absl::Status FilterRegistry::EnablePort(std::string_view name) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return NoPort(name);
  if (port->enabled) {
    return absl::FailedPreconditionError(
        absl::StrCat("port ", port->config.name, " is enabled already"));
  }
  port->enabled = true;
  NoteEnabled(*port);
  ++port->incarnation;
  Begin(OfPort(*port));
  ports_.Publish();
  LogInfo("port {}: enabled", port->config.name);
  return absl::OkStatus();
}

void FilterRegistry::DisablePort(std::string_view name, DoneStatus done) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return done(NoPort(name));
  if (!port->enabled) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("port ", port->config.name, " is disabled already")));
  }
  port->enabled = false;
  NoteEnabled(*port);
  ++port->incarnation;
  ports_.Publish();
  LogInfo("port {}: disabled", port->config.name);
  // Answered when nothing passes any more.
  auto then = [this, done = std::move(done)]() mutable {
    grace_.After([done = std::move(done)] { done(absl::OkStatus()); });
  };
  Registered& of = OfPort(*port);
  HasEnabledPort(of) ? then() : End(of, std::move(then));
}

absl::Status FilterRegistry::BindPort(std::string_view name,
                                      const std::vector<std::string>& bindings,
                                      uint8_t learn) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return NoPort(name);
  absl::StatusOr<SpoofSettings> settings = SettingsOf(name, bindings, learn);
  if (!settings.ok()) return settings.status();
  ports_.Guard(port, *std::move(settings));
  const auto added = added_ports_.find(port->config.name);
  if (added != added_ports_.end()) {
    added->second.bindings = bindings;
    added->second.learn = learn;
  }
  // What sluice.toml says of a port holds again at the next start.
  LogInfo("port {}: {}{}", port->config.name,
          port->guard != nullptr ? "guarded by other bindings"
                                 : "not guarded any more",
          added != added_ports_.end()
              ? ""
              : ", until the daemon ends: then its `bindings` of sluice.toml "
                "hold");
  return absl::OkStatus();
}

absl::StatusOr<PortBindings> FilterRegistry::Bindings(std::string_view name) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return NoPort(name);
  PortBindings bindings;
  constexpr auto kSpoofed = static_cast<size_t>(DropReason::kSpoofed);
  bindings.spoofed = ports_.Counters(*port).drops[kSpoofed];
  if (port->guard == nullptr) return bindings;
  const SpoofSettings& settings = port->guard->settings();
  bindings.learn = settings.learn;
  for (const SpoofBinding& binding : settings.bindings) {
    bindings.bindings.push_back(ToString(binding));
  }
  for (const SpoofBinding& binding : port->guard->Learned()) {
    bindings.learned.push_back(ToString(binding));
  }
  return bindings;
}

absl::Status FilterRegistry::ExcludePort(std::string_view name,
                                         bool excluded) {
  PortSet::Entry* const port = ports_.Find(name);
  if (port == nullptr) return NoPort(name);
  if (port->excluded == excluded) {
    return absl::FailedPreconditionError(
        absl::StrCat("port ", port->config.name,
                     excluded ? " is excluded already" : " is not excluded"));
  }
  port->excluded = excluded;
  ports_.Publish();
  LogInfo("port {}: {}", port->config.name,
               excluded ? "excluded, packets pass it unjudged"
                        : "judged again");
  return absl::OkStatus();
}

}  // namespace sluice
