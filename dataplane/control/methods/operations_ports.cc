// Methods on ports: port.*.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

// As in sluice.toml (docs/configuration.md).
constexpr uint64_t kMinMtu = 576;
constexpr uint64_t kMaxMtu = 9216;
constexpr size_t kPortsAPage = 256;
// IEEE 802.1Q: 0 says a priority only, and 4095 is reserved.
constexpr uint64_t kMinVlan = 1;
constexpr uint64_t kMaxVlan = 4094;
// Bindings of a port: a MAC address, a network, a VLAN, and blanks.
constexpr size_t kMaxBindings = 256;
constexpr size_t kMaxBinding = 96;
constexpr uint64_t kMaxLearned = 16;

void LogChange(const Call& call, std::string_view port, std::string_view what) {
  LogWarning("control: uid {} pid {}: port {} {}", call.peer().uid,
               call.peer().pid, port, what);
}

std::string ReadPort(Params& params) {
  std::string name;
  params.Name("port", kMaxPortName, &name, Params::Need::kRequired);
  return name;
}

Action ParseListPorts(Params& params) {
  std::string cursor;
  size_t limit = kPortsAPage;
  params.Name("cursor", kMaxPortName, &cursor);
  params.PageSize("limit", kPortsAPage, &limit);
  return [cursor, limit](std::shared_ptr<Call> call) {
    std::vector<PortListing> ports = call->directory().Ports(cursor, limit + 1);
    const bool more = ports.size() > limit;
    if (more) ports.resize(limit);
    json list = json::array();
    for (const PortListing& port : ports) list.push_back(ToJson(port));
    json result = {{"ports", std::move(list)}};
    if (more) result["next"] = ports.back().name;
    call->Result(std::move(result));
  };
}

// What does not go together; null: nothing.
const char* WrongIn(const PortSpec& spec) {
  const int ways = !spec.device.empty() + !spec.parent.empty() +
                   !spec.vhost.empty();
  if (ways != 1) {
    return "give parameter \"device\", or \"vhost\", or \"parent\" and "
           "\"vlan\"";
  }
  if (spec.vhost_client && spec.vhost.empty()) {
    return "parameter \"vhost_client\" needs \"vhost\"";
  }
  if (spec.parent.empty() != (spec.vlan == 0) ||
      (spec.inner_vlan != 0 && spec.vlan == 0)) {
    return "parameters \"parent\" and \"vlan\" need each other, and "
           "\"inner_vlan\" both";
  }
  if (spec.device.empty() && spec.queues != 0) {
    return "parameter \"queues\" is for a port with a device";
  }
  if (int{!spec.wire.empty()} + int{!spec.segment.empty()} +
          int{!spec.router.empty()} >
      1) {
    return "a port is on a wire, on a segment, or of a router: give one";
  }
  if (!spec.tap.empty() && spec.router.empty()) {
    return "parameter \"tap\" needs \"router\"";
  }
  return nullptr;
}

Action ParseAdd(Params& params) {
  PortSpec spec;
  std::optional<uint64_t> queues, mtu;
  bool block_non_ip = false;
  params.Name("port", kMaxPortName, &spec.name, Params::Need::kRequired);
  std::optional<uint64_t> vlan, inner_vlan;
  params.String("device", kMaxConfigString, &spec.device);
  params.String("vhost", kMaxConfigString, &spec.vhost);
  params.Bool("vhost_client", &spec.vhost_client);
  params.Name("parent", kMaxPortName, &spec.parent);
  params.Number("vlan", kMinVlan, kMaxVlan, &vlan);
  params.Number("inner_vlan", kMinVlan, kMaxVlan, &inner_vlan);
  params.Name("wire", kMaxPortName, &spec.wire);
  params.Name("segment", kMaxPortName, &spec.segment);
  params.Name("router", kMaxPortName, &spec.router);
  params.Name("tap", kMaxTapName, &spec.tap);
  params.Names("groups", kMaxGroupsPerPort, kMaxPortName, &spec.groups);
  params.Prefixes("addresses", kMaxAddressesPerPort, &spec.addresses);
  params.Number("queues", 1, kMaxQueues, &queues);
  params.Number("mtu", kMinMtu, kMaxMtu, &mtu);
  params.Choice("non_ip", "pass", "block", &block_non_ip);
  params.Bool("disabled", &spec.disabled);
  params.Strings("bindings", kMaxBindings, kMaxBinding, &spec.bindings);
  std::optional<uint64_t> learn;
  params.Number("learn", 1, kMaxLearned, &learn);
  if (learn) spec.learn = static_cast<uint8_t>(*learn);
  if (queues) spec.queues = static_cast<uint16_t>(*queues);
  if (mtu) spec.mtu = static_cast<uint16_t>(*mtu);
  if (vlan) spec.vlan = static_cast<uint16_t>(*vlan);
  if (inner_vlan) spec.inner_vlan = static_cast<uint16_t>(*inner_vlan);
  spec.pass_non_ip = !block_non_ip;
  return [spec = std::move(spec)](std::shared_ptr<Call> call) mutable {
    if (spec.wire == spec.name) {
      return call->Error(RpcError::kInvalidParams,
                         "parameter \"wire\" must name another port");
    }
    if (const char* const wrong = WrongIn(spec)) {
      return call->Error(RpcError::kInvalidParams, wrong);
    }
    Call::RunJob<PortListing>(
        call,
        [spec = std::move(spec)](Call& c) mutable {
          return c.directory().BeginAddPort(std::move(spec));
        },
        [](Call& c, absl::StatusOr<PortListing> port) {
          if (!port.ok()) return c.Error(port.status());
          LogChange(c, port->name, "added");
          c.Result(ToJson(*port));
        });
  };
}

Action ParseRemove(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    call->directory().RemovePort(name, [call, name](absl::Status status) {
      if (status.ok()) LogChange(*call, name, "removed");
      call->StatusOnly(status);
    });
  };
}

Action ParseEnablePort(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().EnablePort(name);
    if (status.ok()) LogChange(*call, name, "enabled");
    call->StatusOnly(status);
  };
}

Action ParseDisablePort(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    call->directory().DisablePort(name, [call, name](absl::Status status) {
      if (status.ok()) LogChange(*call, name, "disabled");
      call->StatusOnly(status);
    });
  };
}

template <bool kExcluded>
Action ParseExclusion(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().ExcludePort(name, kExcluded);
    if (status.ok()) {
      LogChange(*call, name, kExcluded ? "excluded" : "included");
    }
    call->StatusOnly(status);
  };
}

Action ParseBind(Params& params) {
  std::vector<std::string> bindings;
  std::optional<uint64_t> learn;
  const std::string name = ReadPort(params);
  params.Strings("bindings", kMaxBindings, kMaxBinding, &bindings);
  params.Number("learn", 1, kMaxLearned, &learn);
  return [name, bindings = std::move(bindings),
          learn](std::shared_ptr<Call> call) {
    if (bindings.empty() && !learn) {
      return call->Error(RpcError::kInvalidParams,
                         "say \"bindings\" or \"learn\"; port.unbind takes "
                         "them away");
    }
    const absl::Status status = call->directory().BindPort(
        name, bindings, static_cast<uint8_t>(learn.value_or(0)));
    if (status.ok()) LogChange(*call, name, "bound");
    call->StatusOnly(status);
  };
}

Action ParseUnbind(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().BindPort(name, {}, 0);
    if (status.ok()) LogChange(*call, name, "not bound any more");
    call->StatusOnly(status);
  };
}

Action ParseBindings(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    const absl::StatusOr<PortBindings> found =
        call->directory().Bindings(name);
    if (!found.ok()) return call->Error(found.status());
    call->Result({{"bindings", found->bindings},
                  {"learn", found->learn},
                  {"learned", found->learned},
                  {"spoofed", found->spoofed}});
  };
}

Action ParseStats(Params& params) {
  return [name = ReadPort(params)](std::shared_ptr<Call> call) {
    const absl::StatusOr<std::vector<NamedCounter>> counters =
        call->directory().PortStatistics(name);
    if (!counters.ok()) return call->Error(counters.status());
    call->Result({{"counters", ToJson(*counters)}});
  };
}

}  // namespace

const std::vector<Method> kPortMethods = {
    {"port.add", ParseAdd, Access::kAdmin, /*asks_filter=*/false},
    {"port.bind", ParseBind, Access::kAdmin, /*asks_filter=*/false},
    {"port.bindings", ParseBindings, Access::kRead, /*asks_filter=*/false},
    {"port.disable", ParseDisablePort, Access::kAdmin, /*asks_filter=*/false},
    {"port.enable", ParseEnablePort, Access::kAdmin, /*asks_filter=*/false},
    {"port.exclude", ParseExclusion<true>, Access::kAdmin,
     /*asks_filter=*/false},
    {"port.include", ParseExclusion<false>, Access::kAdmin,
     /*asks_filter=*/false},
    {"port.list", ParseListPorts, Access::kRead, /*asks_filter=*/false},
    {"port.remove", ParseRemove, Access::kAdmin, /*asks_filter=*/false},
    {"port.stats", ParseStats, Access::kRead, /*asks_filter=*/false},
    {"port.unbind", ParseUnbind, Access::kAdmin, /*asks_filter=*/false},
};

}  // namespace sluice
