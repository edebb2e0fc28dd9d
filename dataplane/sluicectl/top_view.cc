#include "dataplane/sluicectl/top_view.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, kTopViews> kViewNames = {
    "states", "ports", "rules", "reasons", "filters", "workers"};

uint64_t Both(const json& object, const char* first, const char* second,
              const char* what) {
  return Number(Member(object, first), what) +
         Number(Member(object, second), what);
}

std::string EndText(const json& ends, const char* address, const char* port,
                    bool has_port) {
  const std::string host = Text(ends, address);
  if (!has_port) return host;
  const bool v6 = host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]:" : ":",
                      Number(ends, port));
}

// What shrinks when a line is too long: an address, a rule's text.
bool GivesWay(TopView view, size_t column) {
  switch (view) {
    case TopView::kStates:
      return column == 2 || column == 3;
    case TopView::kRules:
      return column == 7;
    case TopView::kPorts:
    case TopView::kFilters:
    case TopView::kReasons:
    case TopView::kWorkers:
      return column == 0;
  }
  return false;
}

// Texts begin at the left, numbers end at the right.
bool IsLeft(TopView view, size_t column) {
  switch (view) {
    case TopView::kStates:
      return column < 4;
    case TopView::kRules:
      return column == 0 || column == 7;
    case TopView::kPorts:
      return column < 4;
    case TopView::kFilters:
    case TopView::kWorkers:
      return column < 2;
    case TopView::kReasons:
      return column == 0;
  }
  return true;
}

}  // namespace

std::string_view Name(TopView view) {
  return kViewNames[static_cast<size_t>(view)];
}

std::optional<TopView> TopViewNamed(std::string_view name) {
  for (size_t i = 0; i < kTopViews; ++i) {
    if (!name.empty() && kViewNames[i].starts_with(name)) {
      return static_cast<TopView>(i);
    }
  }
  return std::nullopt;
}

const std::vector<TopOrder>& OrdersOf(TopView view) {
  static const auto& orders =
      *new std::array<std::vector<TopOrder>, kTopViews>{{
          {{"rate", 'R', true},
           {"bytes", 'B', true},
           {"packets", 'P', true},
           {"age", 'A', true},
           {"expires", 'E', false},
           {"source", 'F', false},
           {"destination", 'T', false}},
          {{"rate", 'R', true},
           {"received", 'B', true},
           {"errors", 'E', true},
           {"name", 'F', false}},
          {{"rate", 'R', true},
           {"bytes", 'B', true},
           {"packets", 'P', true},
           {"states", 'S', true},
           {"evaluations", 'E', true},
           {"number", 'N', false}},
          {{"rate", 'R', true}, {"packets", 'P', true}, {"name", 'F', false}},
          {{"states", 'S', true}, {"rules", 'R', true}, {"name", 'F', false}},
          {{"number", 'N', false},
           {"rate", 'R', true},
           {"busy", 'B', true},
           {"states", 'S', true}},
      }};
  return orders[static_cast<size_t>(view)];
}

std::optional<size_t> TopOrderNamed(TopView view, std::string_view name) {
  const std::vector<TopOrder>& orders = OrdersOf(view);
  for (size_t i = 0; i < orders.size(); ++i) {
    if (!name.empty() && orders[i].name.starts_with(name)) return i;
  }
  return std::nullopt;
}

std::optional<size_t> TopOrderOfKey(TopView view, char key) {
  const std::vector<TopOrder>& orders = OrdersOf(view);
  for (size_t i = 0; i < orders.size(); ++i) {
    if (orders[i].key == key) return i;
  }
  return std::nullopt;
}

std::string Short(uint64_t number) {
  if (number < 100'000) return absl::StrCat(number);
  double value = static_cast<double>(number);
  for (const char unit : {'K', 'M', 'G', 'T', 'P', 'E'}) {
    value /= 1000;
    if (value < 99.95) return absl::StrFormat("%.1f%c", value, unit);
    if (value < 999.5) return absl::StrFormat("%.0f%c", value, unit);
  }
  return "many";
}

std::string ShortTime(uint64_t seconds) {
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, "m");
  if (seconds < 86400) {
    return absl::StrFormat("%dh%02d", seconds / 3600, seconds / 60 % 60);
  }
  return absl::StrCat(seconds / 86400, "d");
}

uint64_t TopModel::RateOf(const std::string& key, uint64_t value, bool bytes,
                          uint64_t age) const {
  const auto seen = before_.find(key);
  if (seen != before_.end() && elapsed_ms_ > 0) {
    const uint64_t last = bytes ? seen->second.bytes : seen->second.packets;
    // Counters that were zeroed begin anew.
    const uint64_t more = value >= last ? value - last : value;
    return more * 1000 / elapsed_ms_;
  }
  return age == 0 ? 0 : value / age;
}

TopRow TopModel::StateRow(const json& state) const {
  const json& ends = Member(state, "before");
  const uint64_t protocol = Number(state, "protocol");
  const bool ports = protocol == 6 || protocol == 17 || protocol == 132;
  const uint64_t bytes = Both(state, "forward", "backward", "bytes");
  const uint64_t packets = Both(state, "forward", "backward", "packets");
  const uint64_t age = Number(state, "age");
  TopRow row;
  row.key = absl::StrCat(Text(state, "id"), "/", Text(state, "creator"));
  const uint64_t rate =
      RateOf(row.key, bytes, true, std::max<uint64_t>(age, 1));
  row.numbers = {{"rate", rate},
                 {"bytes", bytes},
                 {"packets", packets},
                 {"age", age},
                 {"expires", Number(state, "expires")}};
  row.cells = {ProtocolName(protocol),
               Text(state, "direction"),
               EndText(ends, "source", "source_port", ports),
               EndText(ends, "destination", "destination_port", ports),
               ShortTime(age),
               ShortTime(Number(state, "expires")),
               Short(packets),
               Short(bytes),
               Short(rate)};
  return row;
}

TopRow TopModel::PortRow(const json& port) const {
  const json& received = Member(port, "received");
  const json& transmitted = Member(port, "transmitted");
  TopRow row;
  row.key = Text(port, "name");
  const uint64_t in = Number(received, "bytes");
  const uint64_t rate = RateOf(row.key, in, true, 0);
  const uint64_t packet_rate =
      RateOf(row.key, Number(received, "packets"), false, 0);
  const uint64_t errors = Number(port, "errors") + Number(port, "missed");
  row.numbers = {{"rate", rate},
                 {"packet_rate", packet_rate},
                 {"received", in},
                 {"transmitted", Number(transmitted, "bytes")},
                 {"errors", errors}};
  row.cells = {row.key,
               OrDash(Text(port, "wire")),
               OrDash(Text(port, "filter")),
               !Truth(port, "present")    ? "gone"
               : !Truth(port, "enabled")  ? "off"
               : !Truth(port, "link_up")  ? "down"
               : Truth(port, "excluded") ? "excluded"
                                          : "up",
               Short(Number(received, "packets")),
               Short(in),
               Short(Number(transmitted, "packets")),
               Short(Number(transmitted, "bytes")),
               Short(errors),
               Short(packet_rate),
               Short(rate)};
  return row;
}

TopRow TopModel::RuleRow(const json& rule) const {
  const uint64_t bytes = Both(rule, "in", "out", "bytes");
  const uint64_t packets = Both(rule, "in", "out", "packets");
  TopRow row;
  row.key = absl::StrCat(Number(rule, "number"), " ", Text(rule, "text"));
  const uint64_t rate = RateOf(row.key, bytes, true, 0);
  row.numbers = {{"rate", rate},
                 {"bytes", bytes},
                 {"packets", packets},
                 {"states", Number(rule, "states")},
                 {"evaluations", Number(rule, "evaluations")},
                 {"number", Number(rule, "number")}};
  row.cells = {absl::StrCat("@", Number(rule, "number")),
               Short(Number(rule, "evaluations")),
               Short(Number(rule, "states")),
               Short(Number(rule, "state_creations")),
               Short(packets),
               Short(bytes),
               Short(rate),
               Text(rule, "text")};
  return row;
}

TopRow TopModel::ReasonRow(const json& counter) const {
  TopRow row;
  row.key = Text(counter, "name");
  const uint64_t value = Number(counter, "value");
  const uint64_t rate = RateOf(row.key, value, false, 0);
  row.numbers = {{"packets", value}, {"rate", rate}};
  row.cells = {row.key, Short(value), Short(rate)};
  return row;
}

TopRow TopModel::FilterRow(const json& filter) const {
  TopRow row;
  row.key = Text(filter, "name");
  row.numbers = {{"states", Number(filter, "states")},
                 {"rules", Number(filter, "rules")},
                 {"tables", Number(filter, "tables")}};
  row.cells = {row.key,
               Text(filter, "state"),
               absl::StrCat(Member(filter, "ports").size()),
               Short(Number(filter, "states")),
               Short(Number(filter, "rules")),
               Short(Number(filter, "tables")),
               Short(Number(filter, "generation"))};
  return row;
}

TopRow TopModel::WorkerRow(const json& worker) const {
  TopRow row;
  row.key = absl::StrCat(Number(worker, "worker"));
  const uint64_t received = Number(worker, "received");
  const uint64_t rate = RateOf(row.key, received, false, 0);
  // Of its rounds since the last look, those in which there was something.
  uint64_t rounds = Number(worker, "rounds");
  uint64_t idle = Number(worker, "idle_rounds");
  const auto seen = before_.find(row.key);
  if (seen != before_.end() && rounds > seen->second.rounds &&
      idle >= seen->second.idle_rounds) {
    rounds -= seen->second.rounds;
    idle -= seen->second.idle_rounds;
  }
  const uint64_t busy = rounds > idle ? (rounds - idle) * 100 / rounds : 0;
  row.numbers = {{"number", Number(worker, "worker")},
                 {"rate", rate},
                 {"busy", busy},
                 {"received", received},
                 {"states", Number(worker, "states")}};
  row.cells = {row.key,
               Truth(worker, "stalled") ? "STALLED" : "runs",
               absl::StrCat(busy, "%"),
               Short(received),
               Short(Number(worker, "handed_in")),
               Short(Number(worker, "handed_out")),
               Short(Number(worker, "states")),
               Short(rate)};
  return row;
}

void TopModel::Take(TopView view, const json& answer, uint64_t now_ms) {
  if (view != view_) before_.clear();
  view_ = view;
  elapsed_ms_ = before_.empty() ? 0 : now_ms - last_ms_;
  last_ms_ = now_ms;
  rows_.clear();
  std::map<std::string, Seen, std::less<>> seen;
  for (const json& one : answer) {
    TopRow row;
    Seen now;
    switch (view) {
      case TopView::kStates:
        titles_ = {"PROT", "DIR", "SOURCE", "DESTINATION", "AGE",
                   "EXP",  "PKTS", "BYTES", "RATE"};
        row = StateRow(one);
        now.bytes = row.numbers["bytes"];
        break;
      case TopView::kPorts:
        titles_ = {"PORT", "WIRE", "FILTER", "LINK", "IN-PK", "IN-BY",
                   "OUTPK", "OUTBY", "ERR", "PK/S", "BY/S"};
        row = PortRow(one);
        now = {.bytes = row.numbers["received"],
               .packets = Number(Member(one, "received"), "packets")};
        break;
      case TopView::kRules:
        titles_ = {"RULE", "EVALS", "STATE", "MADE", "PKTS", "BYTES", "BY/S",
                   "TEXT"};
        row = RuleRow(one);
        now.bytes = row.numbers["bytes"];
        break;
      case TopView::kReasons:
        titles_ = {"REASON", "PACKETS", "PK/S"};
        row = ReasonRow(one);
        now.packets = row.numbers["packets"];
        break;
      case TopView::kFilters:
        titles_ = {"FILTER", "STATE", "PORTS", "STATES", "RULES", "TABLES",
                   "GENERATION"};
        row = FilterRow(one);
        break;
      case TopView::kWorkers:
        titles_ = {"WORKER", "STATE", "BUSY", "RECEIVED", "IN", "OUT",
                   "STATES", "PK/S"};
        row = WorkerRow(one);
        now = {.packets = row.numbers["received"],
               .rounds = Number(one, "rounds"),
               .idle_rounds = Number(one, "idle_rounds")};
        break;
    }
    seen.emplace(row.key, now);
    rows_.push_back(std::move(row));
  }
  before_ = std::move(seen);
}

std::vector<TopRow> TopModel::Sorted(size_t order, bool reverse,
                                     std::string_view match,
                                     size_t limit) const {
  std::vector<TopRow> rows;
  for (const TopRow& row : rows_) {
    const bool fits =
        match.empty() ||
        std::any_of(row.cells.begin(), row.cells.end(),
                    [&](const std::string& cell) {
                      return cell.find(match) != std::string::npos;
                    });
    if (fits) rows.push_back(row);
  }
  const TopOrder& by = OrdersOf(view_)[order];
  const bool descending = by.descending != reverse;
  const auto text = [&](const TopRow& row) -> const std::string& {
    return row.cells[by.name == "source" ? 2 : by.name == "destination" ? 3 : 0];
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const TopRow& a, const TopRow& b) {
                     const auto of_a = a.numbers.find(by.name);
                     const auto of_b = b.numbers.find(by.name);
                     if (of_a == a.numbers.end() || of_b == b.numbers.end()) {
                       return descending ? text(b) < text(a)
                                         : text(a) < text(b);
                     }
                     return descending ? of_b->second < of_a->second
                                       : of_a->second < of_b->second;
                   });
  if (rows.size() > limit) rows.resize(limit);
  return rows;
}

std::vector<std::string> LayOut(TopView view,
                                const std::vector<std::string>& titles,
                                const std::vector<TopRow>& rows,
                                size_t width) {
  std::vector<size_t> widths;
  for (const std::string& title : titles) widths.push_back(title.size());
  for (const TopRow& row : rows) {
    for (size_t i = 0; i < widths.size() && i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }
  size_t total = widths.empty() ? 0 : widths.size() - 1;
  for (const size_t one : widths) total += one;
  // One character after the other, of the widest that may.
  while (total > width) {
    size_t widest = widths.size();
    for (size_t i = 0; i < widths.size(); ++i) {
      if (GivesWay(view, i) && widths[i] > 8 &&
          (widest == widths.size() || widths[i] > widths[widest])) {
        widest = i;
      }
    }
    if (widest == widths.size()) break;
    --widths[widest];
    --total;
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < widths.size() && i < cells.size(); ++i) {
      std::string cell = cells[i];
      for (char& c : cell) {
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
      }
      if (cell.size() > widths[i]) {
        cell.resize(widths[i]);
        cell.back() = '~';
      }
      const std::string fill(widths[i] - cell.size(), ' ');
      if (i != 0) text += ' ';
      text += IsLeft(view, i) ? cell + fill : fill + cell;
    }
    text.resize(std::min(text.size(), width));
    while (text.ends_with(' ')) text.pop_back();
    return text;
  };
  std::vector<std::string> lines = {line(titles)};
  for (const TopRow& row : rows) lines.push_back(line(row.cells));
  return lines;
}

}  // namespace sluice
