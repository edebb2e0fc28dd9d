#include "dataplane/sluicectl/command_table.h"

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

constexpr std::array<CommandForm, 36> kForms = {{
    {"filter", "change", Verb::kFilterChange, Naming::kRequired},
    {"filter", "create", Verb::kFilterCreate, Naming::kRequired},
    {"filter", "destroy", Verb::kFilterDestroy, Naming::kRequired},
    {"filter", "list", Verb::kFilterList, Naming::kNone},
    {"filter", "show", Verb::kFilterShow, Naming::kOptional},
    {"port", "add", Verb::kPortAdd, Naming::kRequired},
    {"port", "bind", Verb::kPortBind, Naming::kRequired},
    {"port", "bindings", Verb::kPortBindings, Naming::kRequired},
    {"port", "disable", Verb::kPortDisable, Naming::kRequired},
    {"port", "enable", Verb::kPortEnable, Naming::kRequired},
    {"port", "exclude", Verb::kPortExclude, Naming::kRequired},
    {"port", "include", Verb::kPortInclude, Naming::kRequired},
    {"port", "list", Verb::kPortList, Naming::kNone},
    {"port", "remove", Verb::kPortRemove, Naming::kRequired},
    {"port", "stats", Verb::kPortStats, Naming::kRequired},
    {"port", "unbind", Verb::kPortUnbind, Naming::kRequired},
    {"router", "list", Verb::kRouterList, Naming::kNone},
    {"router", "neighbors", Verb::kRouterNeighbors, Naming::kRequired},
    {"router", "routes", Verb::kRouterRoutes, Naming::kRequired},
    {"router", "show", Verb::kRouterShow, Naming::kRequired},
    {"segment", "add", Verb::kSegmentAdd, Naming::kRequired},
    {"segment", "attach", Verb::kSegmentAttach, Naming::kRequired},
    {"segment", "detach", Verb::kSegmentDetach, Naming::kRequired},
    {"segment", "fix", Verb::kSegmentFix, Naming::kRequired},
    {"segment", "flush", Verb::kSegmentFlush, Naming::kRequired},
    {"segment", "free", Verb::kSegmentFree, Naming::kRequired},
    {"segment", "list", Verb::kSegmentList, Naming::kNone},
    {"segment", "macs", Verb::kSegmentMacs, Naming::kRequired},
    {"segment", "remove", Verb::kSegmentRemove, Naming::kRequired},
    // A noun that needs no verb.
    {"metrics", "", Verb::kMetrics, Naming::kNone},
    {"explain", "", Verb::kExplain, Naming::kNone},
    {"trace", "", Verb::kTrace, Naming::kNone},
    {"log", "", Verb::kLog, Naming::kWords},
    {"capture", "", Verb::kCapture, Naming::kWords},
    {"top", "", Verb::kTop, Naming::kOptional},
    {"test", "", Verb::kTest, Naming::kRequired},
}};

absl::Status WrongValue(std::string_view what) {
  return absl::InvalidArgumentError(View(what));
}

absl::Status AppendList(const std::string& value,
                        std::vector<std::string>* list) {
  for (const absl::string_view word : absl::StrSplit(value, ',')) {
    if (word.empty()) return WrongValue("a list has an empty word");
    list->emplace_back(word);
  }
  return absl::OkStatus();
}

absl::Status Choose(const std::string& value, std::string_view first,
                    std::string_view second, bool* is_second) {
  if (value != first && value != second) {
    return WrongValue(
        absl::StrCat("'", value, "': say ", View(first), " or ", View(second)));
  }
  *is_second = value == second;
  return absl::OkStatus();
}

absl::Status SetNumber(const std::string& value,
                       std::optional<uint32_t>* number) {
  uint32_t read = 0;
  const char* const end = value.data() + value.size();
  const auto result = std::from_chars(value.data(), end, read);
  if (result.ec != std::errc() || result.ptr != end) {
    return WrongValue(absl::StrCat("'", value, "' is not a number"));
  }
  *number = read;
  return absl::OkStatus();
}

const std::array<CommandOption, 76> kOptions = {{
    {"ports", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->ports);
     },
     Verb::kFilterChange},
    {"ruleset", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->ruleset = std::move(value);
       return absl::OkStatus();
     }},
    {"expect-restore", Verb::kFilterCreate, false,
     [](std::string, Command* c) {
       c->expect_restore = true;
       return absl::OkStatus();
     }},
    {"source", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       // A folder is the daemon's to look at, who has another working one.
       std::error_code error;
       c->source = std::filesystem::absolute(value, error).string();
       return error ? WrongValue(error.message()) : absl::OkStatus();
     }},
    {"no-wait", Verb::kFilterCreate, false,
     [](std::string, Command* c) {
       c->no_wait = true;
       return absl::OkStatus();
     }},
    {"from-filter", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->from_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"restore-give-up", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->give_up);
     }},
    {"fail", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->fail_given = true;
       return Choose(value, "closed", "open", &c->fail_open);
     },
     Verb::kFilterChange},
    {"emergency", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->emergency = std::move(value);
       return absl::OkStatus();
     }},
    {"hold-bypass", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return Choose(value, "no", "yes", &c->hold_bypass.emplace());
     },
     Verb::kFilterChange},
    {"ports", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->ports);
     }},
    {"flood", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       c->flood.emplace();
       if (value == "none") return absl::OkStatus();
       if (absl::Status s = AppendList(value, &*c->flood); !s.ok()) return s;
       for (const std::string& what : *c->flood) {
         if (what == "unknown" || what == "multicast" || what == "broadcast") {
           continue;
         }
         return WrongValue(absl::StrCat(
             "'", what, "': say none, or any of unknown,multicast,broadcast"));
       }
       return absl::OkStatus();
     }},
    {"macs", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->macs); }},
    {"macs-per-port", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->macs_per_port);
     }},
    {"age", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->age); }},
    {"port", Verb::kSegmentAttach, true,
     [](std::string value, Command* c) {
       c->port = std::move(value);
       return absl::OkStatus();
     },
     Verb::kSegmentDetach, Verb::kSegmentFix},
    {"mac", Verb::kSegmentFix, true,
     [](std::string value, Command* c) {
       c->mac = std::move(value);
       return absl::OkStatus();
     },
     Verb::kSegmentFree},
    {"vhost", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->vhost = std::move(value);
       return absl::OkStatus();
     }},
    {"vhost-client", Verb::kPortAdd, false,
     [](std::string, Command* c) {
       c->vhost_client = true;
       return absl::OkStatus();
     }},
    {"parent", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->parent = std::move(value);
       return absl::OkStatus();
     }},
    {"vlan", Verb::kPortAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->vlan); }},
    {"inner-vlan", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->inner_vlan);
     }},
    {"segment", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->segment = std::move(value);
       return absl::OkStatus();
     }},
    {"router", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->router = std::move(value);
       return absl::OkStatus();
     }},
    {"tap", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->tap = std::move(value);
       return absl::OkStatus();
     }},
    {"family", Verb::kRouterRoutes, true,
     [](std::string value, Command* c) {
       bool six = false;
       absl::Status status = Choose(value, "inet", "inet6", &six);
       c->family = std::move(value);
       return status;
     }},
    {"device", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->device = std::move(value);
       return absl::OkStatus();
     }},
    {"wire", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->wire = std::move(value);
       return absl::OkStatus();
     }},
    {"groups", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->groups);
     }},
    {"addresses", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->addresses);
     }},
    {"queues", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->queues);
     }},
    {"mtu", Verb::kPortAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->mtu); }},
    {"non-ip", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return Choose(value, "pass", "block", &c->block_non_ip);
     },
     Verb::kSegmentAdd},
    {"disabled", Verb::kPortAdd, false,
     [](std::string, Command* c) {
       c->disabled = true;
       return absl::OkStatus();
     }},
    {"bindings", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->bindings);
     },
     Verb::kPortBind},
    {"learn-bindings", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->learn);
     },
     Verb::kPortBind},
    {"in", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->in = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"proto", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->proto = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"from", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->from = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"to", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->to = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"pcap", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->capture = std::move(value);
       return absl::OkStatus();
     }},
    {"flags", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->flags = std::move(value);
       return absl::OkStatus();
     }},
    {"tag", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->tag = std::move(value);
       return absl::OkStatus();
     }},
    {"icmp-type", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->icmp_type);
     }},
    {"icmp-code", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->icmp_code);
     }},
    {"tos", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->tos);
     }},
    {"ttl", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->ttl);
     }},
    {"length", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->length);
     }},
    {"fragment", Verb::kExplain, false,
     [](std::string, Command* c) {
       c->fragment = true;
       return absl::OkStatus();
     }},
    {"ip-options", Verb::kExplain, false,
     [](std::string, Command* c) {
       c->ip_options = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kTrace, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTest},
    {"passed", Verb::kTrace, false,
     [](std::string, Command* c) {
       if (c->fate == false) return WrongValue("--dropped was given, too");
       c->fate = true;
       return absl::OkStatus();
     }},
    {"dropped", Verb::kTrace, false,
     [](std::string, Command* c) {
       if (c->fate == true) return WrongValue("--passed was given, too");
       c->fate = false;
       return absl::OkStatus();
     }},
    {"reason", Verb::kTrace, true,
     [](std::string value, Command* c) {
       c->reason = std::move(value);
       return absl::OkStatus();
     }},
    {"sample", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->sample);
     }},
    {"count", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->count);
     },
     Verb::kLog},
    {"for", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     },
     Verb::kLog},
    {"in", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->arriving = true;
       return absl::OkStatus();
     }},
    {"out", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->leaving = true;
       return absl::OkStatus();
     }},
    {"dropped", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->dropped = true;
       return absl::OkStatus();
     }},
    {"reason", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->reason = std::move(value);
       c->dropped = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"snaplen", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->snap_length);
     }},
    {"count", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->count);
     }},
    {"for", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     }},
    {"write", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->write = std::move(value);
       return absl::OkStatus();
     }},
    {"once", Verb::kTop, false,
     [](std::string, Command* c) {
       c->once = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"sort", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->sort = std::move(value);
       return absl::OkStatus();
     }},
    {"match", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->match = std::move(value);
       return absl::OkStatus();
     }},
    {"limit", Verb::kTop, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->limit); }},
    {"interval", Verb::kTop, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     }},
    // There is no other way to look at it.
    {"follow", Verb::kLog, false,
     [](std::string, Command*) { return absl::OkStatus(); }},
    {"level", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->level = std::move(value);
       return absl::OkStatus();
     }},
    {"module", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->module = std::move(value);
       return absl::OkStatus();
     }},
    {"write", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->write = std::move(value);
       return absl::OkStatus();
     }},
}};

}  // namespace

std::span<const CommandForm> CommandForms() { return kForms; }
std::span<const CommandOption> CommandOptions() { return kOptions; }

}  // namespace sluice
