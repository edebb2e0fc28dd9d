#include "tests/support/fake_filter_control.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/function_job.h"

namespace sluice {
namespace {

absl::StatusOr<size_t> ReadCursor(const std::string& cursor) {
  size_t at = 0;
  if (cursor.empty()) return at;
  const char* end = cursor.data() + cursor.size();
  const auto result = std::from_chars(cursor.data(), end, at);
  if (result.ec != std::errc() || result.ptr != end) {
    return absl::InvalidArgumentError("this is no cursor");
  }
  return at;
}

bool Matches(const StateQuery& query, const StateListing& state) {
  if (query.translated && state.after == state.before) return false;
  const auto& ends = query.translated ? state.after : state.before;
  if (query.source && !query.source->Contains(ends.source)) return false;
  if (query.destination && !query.destination->Contains(ends.destination)) {
    return false;
  }
  if (query.id && *query.id != state.id) return false;
  return query.interface.empty() || query.interface == state.interface;
}

}  // namespace

std::unique_ptr<BuildJob<LoadResult>> FakeFilterControl::BeginLoad(
    LoadRequest request) {
  last_load = request;
  log.push_back("begin " + request.name);
  auto built = std::make_shared<std::vector<RuleListing>>();
  auto result = std::make_shared<LoadResult>();
  auto shared = std::make_shared<LoadRequest>(std::move(request));
  return std::make_unique<FunctionJob<LoadResult>>(
      [=, this] {
        log.push_back("build " + shared->name);
        if (on_build) on_build();
        uint32_t line_number = 0;
        size_t at = 0;
        while (at < shared->text.size()) {
          size_t end = shared->text.find('\n', at);
          if (end == std::string::npos) end = shared->text.size();
          const std::string line = shared->text.substr(at, end - at);
          at = end + 1;
          ++line_number;
          if (line.starts_with("error")) {
            Diagnostic error;
            error.file = shared->name;
            error.line = line_number;
            error.column = 1;
            error.message = "syntax error";
            error.source_line = line;
            result->diagnostics.push_back(std::move(error));
          } else if (!line.empty()) {
            RuleListing rule;
            rule.number = static_cast<uint32_t>(built->size());
            rule.text = line;
            built->push_back(rule);
            if (shared->print > 0) result->text += line + "\n";
          }
        }
      },
      [=, this]() -> absl::StatusOr<LoadResult> {
        if (destroyed) return absl::NotFoundError("the filter is gone");
        log.push_back("publish " + shared->name);
        result->rules = built->size();
        if (!result->HasErrors() && !shared->dry_run) {
          rules = *built;
          ++generation;
        }
        result->generation = generation;
        return *result;
      });
}

std::unique_ptr<BuildJob<uint64_t>> FakeFilterControl::BeginFlushRules(
    PolicyFlush flush) {
  last_flush = std::move(flush);
  return std::make_unique<FunctionJob<uint64_t>>(
      [] {},
      [this]() -> absl::StatusOr<uint64_t> {
        rules.clear();
        return ++generation;
      });
}

std::unique_ptr<BuildJob<LoadResult>> FakeFilterControl::BeginRollback(
    size_t back, uint32_t, int32_t) {
  rolled_back = back;
  return std::make_unique<FunctionJob<LoadResult>>(
      [] {}, [this]() -> absl::StatusOr<LoadResult> {
        if (rolled_back > commits.size()) {
          return absl::OutOfRangeError("there is no earlier ruleset");
        }
        LoadResult result;
        result.generation = ++generation;
        result.rules = rules.size();
        return result;
      });
}

absl::Status FakeFilterControl::ConfirmCommit() {
  if (!confirm_left) {
    return absl::FailedPreconditionError("no commit waits to be confirmed");
  }
  confirm_left.reset();
  return absl::OkStatus();
}

std::unique_ptr<BuildJob<ExplainResult>> FakeFilterControl::BeginExplain(
    ExplainRequest request) {
  explained.push_back(std::move(request));
  return std::make_unique<FunctionJob<ExplainResult>>(
      [] {},
      [this]() -> absl::StatusOr<ExplainResult> {
        ExplainResult result;
        result.generation = generation;
        const ExplainRequest& asked = explained.back();
        result.passes = asked.packet.destination_port.host() != 23;
        if (!result.passes) result.reason = "match";
        result.keeps_state = result.passes;
        result.tag = asked.tag;
        result.rules.push_back({.number = 0,
                                .text = "block drop all",
                                .decides = !result.passes});
        if (result.passes) {
          result.rules.push_back(
              {.anchor = "web",
               .number = 3,
               .depth = 1,
               .text = "pass in from <good> to any flags S/SA",
               .decides = true,
               .tables = {{.table = "good",
                           .is_source = true,
                           .entry = TableEntry{
                               .prefix = *ParsePrefix("10.0.0.0/8")}}}});
        }
        if (asked.near > 0) {
          result.rules.push_back({.number = 4,
                                  .text = "pass out all flags S/SA",
                                  .failed = "direction"});
          result.left_out = 2;
        }
        result.met = 5;
        const std::string place =
            (asked.direction == Direction::kIn ? "in " : "out ") +
            asked.interface;
        if (ways.contains(place)) result.way = ways[place];
        if (copies.contains(place)) result.copy = copies[place];
        return result;
      });
}

absl::StatusOr<RuleSlice> FakeFilterControl::ListRules(
    const RuleQuery& query, const std::string& cursor, size_t limit) {
  last_rule_query = query;
  absl::StatusOr<size_t> at = ReadCursor(cursor);
  if (!at.ok()) return at.status();
  RuleSlice slice;
  slice.generation = generation;
  slice.uid = last_load.uid;
  slice.pid = last_load.pid;
  const std::vector<RuleListing>& rules =
      query.translation ? translation_rules : this->rules;
  for (size_t i = *at; i < rules.size() && slice.rules.size() < limit; ++i) {
    slice.rules.push_back(rules[i]);
  }
  const size_t next = *at + slice.rules.size();
  if (next < rules.size()) slice.next = absl::StrCat(next);
  return slice;
}

void FakeFilterControl::ListStates(const StateQuery& query,
                                   const std::string& cursor, size_t limit,
                                   Done<StateSlice> done) {
  last_states = query;
  auto answer = [=, this] {
    absl::StatusOr<size_t> at = ReadCursor(cursor);
    if (!at.ok()) return done(at.status());
    StateSlice slice;
    size_t i = *at;
    for (; i < states.size() && slice.states.size() < limit; ++i) {
      if (Matches(query, states[i])) slice.states.push_back(states[i]);
    }
    if (i < states.size()) slice.next = absl::StrCat(i);
    done(std::move(slice));
  };
  if (hold_states) {
    held.push_back(std::move(answer));
  } else {
    answer();
  }
}

void FakeFilterControl::TopStates(const StateQuery& query, StateOrder order,
                                  size_t limit,
                                  Done<std::vector<StateListing>> done) {
  last_states = query;
  last_order = order;
  std::vector<StateListing> top;
  for (const StateListing& state : states) {
    if (Matches(query, state)) top.push_back(state);
  }
  std::ranges::sort(top, [](const StateListing& a, const StateListing& b) {
    return a.bytes[0] + a.bytes[1] > b.bytes[0] + b.bytes[1];
  });
  top.resize(std::min(limit, top.size()));
  done(std::move(top));
}

void FakeFilterControl::CountStates(const StateQuery& query,
                                    Done<StateCount> done) {
  last_states = query;
  StateCount count;
  for (const StateListing& state : states) {
    if (!Matches(query, state)) continue;
    ++count.states;
    count.packets += state.packets[0] + state.packets[1];
    count.bytes += state.bytes[0] + state.bytes[1];
  }
  if (count.states > 0) count.phases = {{17, "SINGLE", count.states}};
  done(std::move(count));
}

void FakeFilterControl::KillStates(const StateQuery& query,
                                   Done<uint64_t> done) {
  last_kill = query;
  done(std::erase_if(states,
                     [&](const StateListing& s) { return Matches(query, s); }));
}

std::vector<TableListing> FakeFilterControl::ListTables() {
  std::vector<TableListing> listings;
  for (const auto& [name, entries] : tables) {
    TableListing listing;
    listing.name = name;
    listing.persist = true;
    listing.active = true;
    listing.addresses = entries.size();
    listings.push_back(std::move(listing));
  }
  return listings;
}

absl::StatusOr<TableSlice> FakeFilterControl::ListTable(
    const std::string& table, const std::string&, const std::string& cursor,
    size_t limit) {
  const auto it = tables.find(table);
  if (it == tables.end()) return absl::NotFoundError("no such table");
  absl::StatusOr<size_t> at = ReadCursor(cursor);
  if (!at.ok()) return at.status();
  TableSlice slice;
  size_t i = 0;
  for (const auto& [prefix, negated] : it->second) {
    if (i++ < *at) continue;
    if (slice.addresses.size() == limit) {
      slice.next = absl::StrCat(i - 1);
      break;
    }
    TableAddressListing address;
    address.entry = {.prefix = prefix, .negated = negated};
    slice.addresses.push_back(address);
  }
  return slice;
}

std::unique_ptr<BuildJob<TableEditResult>> FakeFilterControl::BeginTableEdit(
    TableEdit edit) {
  log.push_back("begin " + edit.table);
  last_edit = edit;
  auto shared = std::make_shared<TableEdit>(std::move(edit));
  return std::make_unique<FunctionJob<TableEditResult>>(
      [=, this] { log.push_back("build " + shared->table); },
      [=, this]() -> absl::StatusOr<TableEditResult> {
        if (destroyed) return absl::NotFoundError("the filter is gone");
        log.push_back("publish " + shared->table);
        const bool makes = shared->command == TableCommand::kAdd ||
                           shared->command == TableCommand::kReplace;
        TableEditResult result;
        auto it = tables.find(shared->table);
        if (it == tables.end() && !makes) {
          return absl::NotFoundError("no such table");
        }
        result.table_created = it == tables.end();
        std::map<Prefix, bool> now;
        if (it != tables.end()) now = it->second;
        if (shared->command == TableCommand::kFlush ||
            shared->command == TableCommand::kReplace) {
          result.deleted = now.size();
          now.clear();
        }
        for (const TableEntry& entry : shared->entries) {
          TableFeedback feedback = TableFeedback::kNone;
          if (shared->command == TableCommand::kDelete) {
            if (now.erase(entry.prefix) > 0) {
              ++result.deleted;
              feedback = TableFeedback::kDeleted;
            }
          } else if (now.emplace(entry.prefix, entry.negated).second) {
            ++result.added;
            feedback = TableFeedback::kAdded;
          }
          if (shared->feedback) result.changes.emplace_back(entry, feedback);
        }
        result.tables_deleted = shared->command == TableCommand::kKill;
        result.tables_zeroed = shared->command == TableCommand::kZero;
        if (shared->dry_run) return result;
        if (shared->command == TableCommand::kKill) {
          tables.erase(shared->table);
        } else {
          tables[shared->table] = std::move(now);
        }
        return result;
      },
      [this] { return outdated > 0 && outdated-- > 0; });
}

std::unique_ptr<BuildJob<uint64_t>> FakeFilterControl::BeginFlushTables(
    const std::string&, bool) {
  return std::make_unique<FunctionJob<uint64_t>>(
      [] {},
      [this]() -> absl::StatusOr<uint64_t> {
        const uint64_t count = tables.size();
        tables.clear();
        return count;
      });
}

absl::StatusOr<std::vector<TableMatch>> FakeFilterControl::TestTable(
    const std::string& table, const std::string&,
    const std::vector<Address>& addresses) {
  const auto it = tables.find(table);
  if (it == tables.end()) return absl::NotFoundError("no such table");
  std::vector<TableMatch> matches;
  for (const Address& address : addresses) {
    TableMatch match;
    match.address = address;
    for (const auto& [prefix, negated] : it->second) {
      if (!prefix.Contains(address)) continue;
      if (match.entry && match.entry->prefix.length > prefix.length) continue;
      match.entry = TableEntry{.prefix = prefix, .negated = negated};
      match.match = !negated;
    }
    matches.push_back(match);
  }
  return matches;
}

FilterInfo FakeFilterControl::Info() {
  FilterInfo info;
  info.enabled = enabled;
  info.since = 62;
  info.host_id = 0x1a2b3c4d;
  info.checksum = "00112233445566778899aabbccddeeff";
  info.generation = generation;
  info.states = states.size();
  info.state_counters = {{"searches", 620}, {"inserts", 31}, {"removals", 0}};
  info.drop_counters = {{"match", 124}, {"bad-offset", 0}};
  info.fragment_counters = fragment_counters;
  info.flow_counters = flow_counters;
  info.classifier.compiled = true;
  info.classifier.parts = {
      {.direction = Direction::kIn, .family = Family::kIpv4, .compiled = true},
      {.direction = Direction::kOut,
       .family = Family::kIpv6,
       .why = "anchors call each other too often",
       .is_slow = true}};
  info.classifier.counters = {{"rules", 21}, {"verified", 3}, {"bytes", 4096}};
  return info;
}

std::vector<InterfaceListing> FakeFilterControl::Interfaces() {
  InterfaceListing inside;
  inside.name = "inside";
  inside.groups = {"lan"};
  inside.skip = true;
  inside.link_up = true;
  InterfaceListing outside;
  outside.name = "outside";
  outside.link_up = false;
  return {inside, outside};
}

std::vector<TimeoutListing> FakeFilterControl::Timeouts() {
  return {{Timeout::kTcpFirst, 120}, {Timeout::kAdaptiveStart, 60000}};
}

std::vector<LimitListing> FakeFilterControl::Limits() {
  return {{Limit::kStates, 100000, states.size(), 4},
          {Limit::kTables, UINT32_MAX, tables.size(), 0}};
}

absl::Status FakeFilterControl::Enable() {
  if (enabled) return absl::FailedPreconditionError("pf already enabled");
  enabled = true;
  return absl::OkStatus();
}

absl::Status FakeFilterControl::Disable() {
  if (!enabled) return absl::FailedPreconditionError("pf not enabled");
  enabled = false;
  return absl::OkStatus();
}

}  // namespace sluice
