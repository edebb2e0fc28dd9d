// The pf language: from text to a Policy.
//
// One grammar accepts the union of OpenBSD's and FreeBSD's pf; the dialect
// decides defaults and the meaning of the few words that differ. A file is
// read to its end whatever is wrong in it, so that all its errors are seen at
// once; with any error the policy must not be used.
//
// Called on the control side only. The text may be hostile: every list
// product, nesting, name and file is bounded before memory is spent on it.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSER_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSER_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/host/host_facts.h"
#include "pftable/optimize/automatic_tables.h"
#include "pftable/optimize/optimize.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Reads the file of an `include`, a table or `load anchor`, at most
// `max_bytes` of it (more is an error). Whether and where files may be read
// is the caller's decision; the parser only bounds their number and size.
using FileLoader = std::function<absl::StatusOr<std::string>(
    std::string_view path, size_t max_bytes)>;

// A loader for the process's own file system. A path that is not absolute is
// taken from the directory of `main_file`.
FileLoader SystemFileLoader(std::string_view main_file);

struct ParseLimits {
  size_t include_depth = 16;
  size_t list_nesting = 16;
  size_t file_bytes = 256u << 20;   // of one file
  size_t total_bytes = 512u << 20;  // of all files together
  size_t rules = 1'000'000;         // expanded
  size_t table_entries = 10'000'000;
  size_t diagnostics = 100;
};

struct ParseInput {
  std::string file_name;  // for messages; "-" or empty is "stdin"
  std::string text;
  // -D name=value: these win over macros of the file.
  std::vector<std::pair<std::string, std::string>> macros;
  FileLoader load_file;  // empty: every `include` and `file` is an error
  Dialect dialect = Dialect::kOpenBsd;
  const HostFacts* facts = nullptr;  // null: HostFacts()
  bool no_dns = false;               // a host name that is not known fails
  // Where the text is loaded into, "a/b": for relative anchor paths.
  std::string anchor;
  // `anchor "_1"` calls an unnamed anchor, which stands elsewhere: so snapshots
  // have it (PrintOptions::anchor_names). Rulesets may not use such names.
  bool unnamed_by_number = false;
  ParseLimits limits;
  // The options that those of the text are set on top of (-m); null: the
  // dialect's defaults. Its dialect is the text's.
  const Options* base_options = nullptr;
  // Whether the rules are optimised as `set ruleset-optimization` says, or as
  // `optimization` (-o), which wins. Without it they stay as they are written.
  bool optimize = false;
  std::optional<RulesetOptimization> optimization = std::nullopt;
  RulePackets profile = nullptr;  // what profile knows of the rules in force
  TableNaming table_naming = TableNaming::kNumbered;
};

struct ParseResult {
  Policy policy;
  std::vector<Diagnostic> diagnostics;  // in the order of discovery
  // More errors than limits.diagnostics: the rest was not looked for.
  bool truncated = false;

  bool ok() const;  // no diagnostic is an error
};

ParseResult ParsePolicy(ParseInput input);

// The entries of a table file or of `-T add` arguments: addresses, networks,
// host names, interfaces, each with an optional `!`, separated by white space
// or commas; comments from '#' or ';' to the end of the line. "!!" is nothing.
struct TableFileResult {
  std::vector<TableEntry> entries;  // in order, without repetitions
  std::vector<Diagnostic> diagnostics;
};
TableFileResult ParseTableFile(std::string_view file_name,
                               std::string_view text, const HostFacts& facts,
                               bool no_dns, size_t max_entries,
                               bool keep_repetitions = false);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSER_H_
