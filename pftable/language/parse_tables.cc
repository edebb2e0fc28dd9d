#include "pftable/language/parse_tables.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"

namespace sluice {
namespace {

// Which networks a list of entries holds already. Lists may have millions: this
// takes 8 to 16 bytes an entry, all in one block.
class SeenEntries {
 public:
  // `entries` is empty and outlives this.
  explicit SeenEntries(const std::vector<TableEntry>* entries)
      : entries_(*entries), places_(16, kFree) {}

  // Whether an entry of that network is there.
  bool Contains(const Prefix& prefix) const {
    return places_[Find(prefix)] != kFree;
  }
  // Takes in the last element of the list, which was not there.
  void AddLast() {
    const size_t last = entries_.size() - 1;
    if (2 * entries_.size() > places_.size()) Grow(last);
    places_[Find(entries_[last].prefix)] = static_cast<uint32_t>(last);
  }

 private:
  static constexpr uint32_t kFree = 0xffffffff;

  static size_t Hash(const Prefix& prefix) {
    return absl::HashOf(prefix.address.bytes, prefix.length,
                        static_cast<uint8_t>(prefix.address.family));
  }
  // Where it is, or would be: the list is never full.
  size_t Find(const Prefix& prefix) const {
    const size_t mask = places_.size() - 1;
    size_t at = Hash(prefix) & mask;
    while (places_[at] != kFree && entries_[places_[at]].prefix != prefix) {
      at = (at + 1) & mask;
    }
    return at;
  }
  // Makes room for as many again; `count` entries are in it.
  void Grow(size_t count) {
    std::vector<uint32_t>(2 * places_.size(), kFree).swap(places_);
    for (size_t i = 0; i < count; ++i) {
      places_[Find(entries_[i].prefix)] = static_cast<uint32_t>(i);
    }
  }

  const std::vector<TableEntry>& entries_;
  std::vector<uint32_t> places_;  // a power of two, at most half of it taken
};

// Of entries of one network the first stays.
void RemoveRepetitions(std::vector<TableEntry>& entries) {
  std::vector<TableEntry> kept;
  kept.reserve(entries.size());
  SeenEntries seen(&kept);
  for (const TableEntry& entry : entries) {
    if (seen.Contains(entry.prefix)) continue;
    kept.push_back(entry);
    seen.AddLast();
  }
  entries = std::move(kept);
}

int MaskBits(const AddressMatch& match) {
  int bits = 0;
  while (bits < AddressBits(match.mask.family) && match.mask.bit(bits)) {
    ++bits;
  }
  return bits;
}

std::optional<TableEntry> EntryOf(const HostItem& host) {
  TableEntry entry;
  entry.negated = host.match.negated;
  entry.weight = host.weight;
  if (host.match.kind == AddressKind::kPrefix) {
    entry.prefix = {
        .address = host.match.address,
        .length = static_cast<uint8_t>(MaskBits(host.match))};
    return entry;
  }
  if (host.match.kind == AddressKind::kAny && host.family != Family::kNone) {
    entry.prefix.address.family = host.family;
    return entry;
  }
  return std::nullopt;
}

constexpr bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' ||
         c == '\f' || c == '\v';
}

// The entries of a table file, one after the other.
class TableFileScanner {
 public:
  explicit TableFileScanner(std::string_view text) : text_(text) {}

  // False at the end.
  bool Next(std::string_view& word, uint32_t& line, uint32_t& column) {
    for (;;) {
      while (at_ < text_.size() && IsSpace(text_[at_])) Advance();
      if (at_ >= text_.size()) return false;
      if (text_[at_] != '#' && text_[at_] != ';') break;
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
    line = line_;
    column = static_cast<uint32_t>(at_ - line_start_ + 1);
    const size_t begin = at_;
    // A '!' may stand apart from its address.
    if (text_[at_] == '!') {
      ++at_;
      while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) {
        ++at_;
      }
    }
    while (at_ < text_.size() && !IsSpace(text_[at_]) && text_[at_] != '#' &&
           text_[at_] != ';') {
      ++at_;
    }
    word = text_.substr(begin, at_ - begin);
    return true;
  }

 private:
  void Advance() {
    if (text_[at_++] == '\n') {
      ++line_;
      line_start_ = at_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  uint32_t line_ = 1;
};

std::string_view LineAt(std::string_view text, uint32_t line) {
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == text.npos) return "";
    text.remove_prefix(end + 1);
  }
  return text.substr(0, std::min<size_t>(text.find('\n'), 512));
}

}  // namespace

TableFileResult ParseTableFile(std::string_view file_name,
                               std::string_view text, const HostFacts& facts,
                               bool no_dns, size_t max_entries,
                               bool keep_repetitions) {
  constexpr size_t kMaxDiagnostics = 100;
  TableFileResult result;
  SeenEntries seen(&result.entries);
  TableFileScanner scanner(text);
  std::string_view word;
  uint32_t line = 0;
  uint32_t column = 0;
  const auto add = [&](TableEntry entry) {
    if (keep_repetitions) {
      result.entries.push_back(entry);
      return;
    }
    if (seen.Contains(entry.prefix)) return;
    result.entries.push_back(entry);
    seen.AddLast();
  };
  const auto fail = [&](std::string message) {
    Diagnostic d;
    d.file = std::string(file_name);
    d.line = line;
    d.column = column;
    d.message = std::move(message);
    d.source_line = std::string(LineAt(text, line));
    result.diagnostics.push_back(std::move(d));
  };
  while (scanner.Next(word, line, column)) {
    if (result.diagnostics.size() >= kMaxDiagnostics) return result;
    if (result.entries.size() >= max_entries) {
      fail("more than " + std::to_string(max_entries) + " table entries");
      return result;
    }
    TableEntry entry;
    std::string_view body = word;
    while (!body.empty() && body[0] == '!') {
      entry.negated = !entry.negated;
      body.remove_prefix(1);
      while (!body.empty() && IsSpace(body[0])) body.remove_prefix(1);
    }
    // Most entries are plain; the rest goes the long way.
    if (const auto prefix = ParsePrefix(body)) {
      entry.prefix = prefix->Masked();
      add(entry);
      continue;
    }
    constexpr std::string_view kNameCharacters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        ".:/_%-";
    if (body.empty() || body.size() > 255 ||
        body.find_first_not_of(kNameCharacters) != body.npos) {
      fail("not an address");
      continue;
    }
    ParseInput input;
    input.file_name = std::string(file_name);
    input.facts = &facts;
    input.no_dns = no_dns;
    input.text = "table <t> { " + std::string(entry.negated ? "! " : "") +
                 std::string(body) + " }\n";
    const ParseResult parsed = ParsePolicy(std::move(input));
    if (!parsed.ok() || parsed.policy.main.tables.empty()) {
      fail(parsed.diagnostics.empty() ? "not an address"
                                      : parsed.diagnostics[0].message);
      continue;
    }
    for (const TableEntry& e : parsed.policy.main.tables[0].entries) add(e);
  }
  return result;
}

bool TableParser::ParseTable(SourcePlace place) {
  if (!in_.token().Is('<'))
    return in_.Unexpected("a table's name in '<' and '>'");
  TableDefinition table;
  table.place = place;
  table.order = draft_.NextOrder();
  bool has_file = false;
  const SourcePlace name_place = in_.token().place;
  if (!hosts_.ParseTableName(table.name)) return false;
  if (table.name.empty()) return in_.Error(name_place, "empty table name");
  while (!in_.AtStatementEnd()) {
    const SourcePlace at = in_.token().place;
    if (in_.AcceptWord("persist")) {
      table.persist = true;
    } else if (in_.AcceptWord("const")) {
      table.is_const = true;
    } else if (in_.AcceptWord("counters")) {
      table.counters = true;
    } else if (in_.AcceptWord("file")) {
      std::string path;
      if (!in_.TakeName("a file name", path, kMaxTokenBytes)) return false;
      std::string text;
      if (!files_.Read(path, at, text)) return false;
      const size_t room = draft_.table_entries_left();
      TableFileResult read =
          ParseTableFile(path, text, facts_, draft_.input().no_dns, room);
      in_.messages().AddErrors(std::move(read.diagnostics));
      draft_.CountTableEntries(read.entries.size());
      table.has_contents = true;
      has_file = true;
      table.parts.push_back({.file = std::move(path), .entries = {}});
      if (table.entries.empty()) {
        table.entries = std::move(read.entries);
      } else {
        table.entries.insert(table.entries.end(), read.entries.begin(),
                             read.entries.end());
      }
    } else if (in_.token().Is('{')) {
      table.has_contents = true;
      const size_t before = table.entries.size();
      if (!ParseTableContents(table)) return false;
      table.parts.push_back(
          {.file = {},
           .entries = {table.entries.begin() + static_cast<ptrdiff_t>(before),
                       table.entries.end()}});
    } else {
      return in_.Unexpected("persist, const, counters, file or '{'",
                            {"persist", "const", "counters", "file"});
    }
  }
  const size_t written = table.entries.size();
  RemoveRepetitions(table.entries);
  // Without files and repetitions, the entries are as they were written.
  if (!has_file && table.entries.size() == written) table.parts.clear();
  std::vector<TableDefinition>& tables = draft_.Here().tables;
  const auto same = std::find_if(
      tables.begin(), tables.end(),
      [&](const TableDefinition& t) { return t.name == table.name; });
  if (same != tables.end()) {
    *same = std::move(table);  // as in pf, the last definition counts
  } else {
    tables.push_back(std::move(table));
  }
  return true;
}

bool TableParser::ParseTableContents(TableDefinition& table) {
  const SourcePlace opened = in_.token().place;
  in_.Accept('{');
  in_.SkipNewlines();
  std::vector<HostItem> hosts;
  while (!in_.Accept('}')) {
    if (in_.token().kind == TokenKind::kEnd)
      return in_.Error(opened, "'{' without '}'");
    if (!in_.ParseList(
            [&] { return hosts_.ParseHostItem(hosts, HostContext::kTable); },
            1)) {
      return false;
    }
    in_.SkipNewlines();
    if (in_.Accept(',')) in_.SkipNewlines();
  }
  return AddTableEntries(hosts, table);
}

bool TableParser::AddTableEntries(const std::vector<HostItem>& hosts,
                                  TableDefinition& table) {
  if (hosts.size() > draft_.table_entries_left()) {
    return in_.Error(table.place,
                     "more than " +
                         std::to_string(draft_.input().limits.table_entries) +
                         " table entries");
  }
  draft_.CountTableEntries(hosts.size());
  for (const HostItem& host : hosts) {
    const auto entry = EntryOf(host);
    if (!entry) {
      return in_.Error(host.place, "a range cannot be an entry of a table",
                       "write its networks");
    }
    table.entries.push_back(*entry);
  }
  return true;
}

}  // namespace sluice
