#include "dataplane/config/config_metrics.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 7> kMetricsKeys = {
    "listen", "mode", "group", "clients", "filters", "labels", "tables"};

// "127.0.0.1:9469", "[::1]:9469".
bool ReadEnd(std::string_view text, MetricsConfig* metrics) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  const std::optional<Address> address = ParseAddress(host);
  if (!address || brackets != (address->family == Family::kIpv6)) return false;
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), metrics->port);
  metrics->address = *address;
  return error == std::errc() && end == port.data() + port.size() &&
         metrics->port != 0;
}

}  // namespace

const toml::table* ReadMetricsSection(
    const toml::table& root,
    const std::function<std::string(const std::string&)>& resolve,
    ConfigReader* reader, MetricsConfig* metrics) {
  const toml::table* table = reader->Table(root, "metrics");
  if (table == nullptr) return nullptr;
  reader->RefuseUnknownKeys(*table, "[metrics]", kMetricsKeys);
  if (reader->String(*table, "listen", &metrics->listen) &&
      !metrics->listen.empty()) {
    const toml::source_region& place = table->get("listen")->source();
    if (metrics->listen.find('/') != std::string::npos) {
      metrics->listen = resolve(metrics->listen);
      // sockaddr_un has room for 107 bytes and a NUL.
      if (metrics->listen.size() > 107) {
        reader->Error(place,
                      absl::StrCat("the path of the metrics' socket has ",
                                   metrics->listen.size(), " bytes"),
                      "give a path of at most 107 bytes");
      }
    } else if (!ReadEnd(metrics->listen, metrics)) {
      reader->Error(place,
                    absl::StrCat("'listen' cannot be \"", metrics->listen,
                                 "\""),
                    "give the path of a Unix socket, or an address and a port: "
                    "\"127.0.0.1:9469\", \"[::1]:9469\"");
    }
  }
  reader->String(*table, "group", &metrics->group);
  reader->Number(*table, "clients", 1, 64, &metrics->clients);
  reader->Number(*table, "filters", 1, 65536, &metrics->filters);
  reader->Number(*table, "labels", 0, 10000, &metrics->labels);
  reader->Number(*table, "tables", 0, 10000, &metrics->tables);
  if (!metrics->listen.empty() && !metrics->is_unix()) {
    for (const char* key : {"mode", "group"}) {
      if (!table->contains(key)) continue;
      reader->Error(table->get(key)->source(),
                    absl::StrCat("'", key, "' is of a Unix socket, and "
                                 "'listen' is none"),
                    "remove it, or give a path");
    }
  }
  return table;
}

}  // namespace sluice
