#include "dataplane/config/config_metrics.h"

#include <array>
#include <string_view>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 7> kMetricsKeys = {
    "listen", "mode", "group", "clients", "filters", "labels", "tables"};

}  // namespace

const toml::table* ReadMetricsSection(const toml::table& root,
                                      const ResolvePath& resolve,
                                      ConfigReader* reader,
                                      MetricsConfig* metrics) {
  const toml::table* table = reader->Table(root, "metrics");
  if (table == nullptr) return nullptr;
  reader->RefuseUnknownKeys(*table, "[metrics]", kMetricsKeys);
  ReadListen(*table, resolve,
             {.listen = &metrics->listen,
              .address = &metrics->address,
              .port = &metrics->port,
              .whose = "the metrics'",
              .example = "\"127.0.0.1:9469\", \"[::1]:9469\""},
             reader);
  reader->String(*table, "group", &metrics->group);
  reader->Number(*table, "clients", 1, 64, &metrics->clients);
  reader->Number(*table, "filters", 1, 65536, &metrics->filters);
  reader->Number(*table, "labels", 0, 10000, &metrics->labels);
  reader->Number(*table, "tables", 0, 10000, &metrics->tables);
  return table;
}

}  // namespace sluice
