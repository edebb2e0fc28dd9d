#include "pftable/language/parser.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "pftable/language/parser_internal.h"

namespace sluice {
namespace {

const HostFacts& OrNone(const HostFacts* facts, const HostFacts& none) {
  return facts != nullptr ? *facts : none;
}

}  // namespace

bool ParseResult::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(),
                      [](const Diagnostic& d) {
                        return d.severity == Severity::kError;
                      });
}

FileLoader SystemFileLoader(std::string_view main_file) {
  const size_t slash = main_file.rfind('/');
  std::string folder(
      slash == main_file.npos ? "" : main_file.substr(0, slash + 1));
  return [folder = std::move(folder)](
             std::string_view path,
             size_t max_bytes) -> absl::StatusOr<std::string> {
    std::string full(path);
    if (!full.empty() && full[0] != '/') full = folder + full;
    std::ifstream in(full, std::ios::binary);
    if (!in) return absl::NotFoundError("cannot open it");
    std::string text;
    std::array<char, 65536> chunk;
    while (in.read(chunk.data(), chunk.size()) || in.gcount() > 0) {
      text.append(chunk.data(), static_cast<size_t>(in.gcount()));
      if (text.size() > max_bytes) {
        return absl::ResourceExhaustedError("more than " +
                                            std::to_string(max_bytes) +
                                            " bytes");
      }
    }
    if (in.bad()) return absl::DataLossError("cannot read it");
    return text;
  };
}

ParseResult ParsePolicy(ParseInput input) {
  return Parser(std::move(input)).Run();
}

Parser::Parser(ParseInput input)
    : input_(std::move(input)),
      facts_(OrNone(input_.facts, no_facts_)),
      result_{.policy = Policy(input_.dialect),
              .diagnostics = {},
              .truncated = false} {
  if (input_.file_name.empty() || input_.file_name == "-") {
    input_.file_name = "stdin";
  }
  for (auto& [name, value] : input_.macros) lexer_.DefineFixed(name, value);
  if (input_.base_options != nullptr) TakeOptions(*input_.base_options);
}

ParseResult Parser::Run() {
  anchors_.push_back({.path = "", .next_unnamed = 1, .lexer_depth = 1});
  const uint32_t file = AddFile(input_.file_name, "");
  if (input_.text.size() > input_.limits.file_bytes) {
    Error({.file = file, .line = 0, .column = 0},
          "the file is larger than " +
              std::to_string(input_.limits.file_bytes) + " bytes");
    return std::move(result_);
  }
  total_bytes_ = input_.text.size();
  texts_[file].text = std::move(input_.text);
  lexer_.Push(file, texts_[file].text);
  RunFile();
  LoadPendingAnchors();
  FinishOptions();
  CheckLimits();
  CheckNames();
  if (error_count_ == 0) FinishRules();
  std::vector<std::string> texts;
  for (FileText& read : texts_) {
    // It looks into the text that moves away.
    read.lines.reset();
    texts.push_back(std::move(read.text));
  }
  result_.policy.texts =
      std::make_shared<const std::vector<std::string>>(std::move(texts));
  return std::move(result_);
}

// What looks at the rules all together, as pfctl does it before a load.
void Parser::FinishRules() {
  Policy& policy = result_.policy;
  AutomaticTables tables(policy, input_.table_naming);
  if (InDialect(Dialect::kOpenBsd)) PoolsToTables(policy, tables);
  if (input_.optimize) {
    OptimizePolicy(
        policy,
        input_.optimization.value_or(policy.options.ruleset_optimization),
        input_.profile, tables);
  }
  NumberLabels(policy.main);
}

void Parser::RunFile() {
  section_ = Section::kNone;
  token_ = lexer_.Next();
  ParseStatements(/*in_anchor=*/false);
}

Anchor& Parser::Here() {
  return result_.policy.main.FindOrCreate(anchors_.back().path);
}

uint32_t Parser::AddFile(std::string name, std::string text) {
  result_.policy.files.push_back(std::move(name));
  texts_.push_back({.text = std::move(text), .lines = {}});
  return static_cast<uint32_t>(texts_.size() - 1);
}

bool Parser::ReadFile(const std::string& path, SourcePlace place,
                      std::string& text) {
  if (!input_.load_file) {
    return Error(place, "cannot read \"" + path + "\": files may not be read",
                 "give the contents in the ruleset itself");
  }
  const size_t left = input_.limits.total_bytes - total_bytes_;
  auto read =
      input_.load_file(path, std::min(left, input_.limits.file_bytes));
  const bool too_large = absl::IsResourceExhausted(read.status());
  if (!read.ok() && !too_large) {
    return Error(place, "cannot read \"" + path + "\": " +
                            std::string(read.status().message()));
  }
  if (too_large || read->size() > left) {
    if (left >= input_.limits.file_bytes) {
      return Error(place, "\"" + path + "\" is larger than " +
                              std::to_string(input_.limits.file_bytes) +
                              " bytes");
    }
    return Error(place, "the files of the ruleset are larger than " +
                            std::to_string(input_.limits.total_bytes) +
                            " bytes together");
  }
  text = *std::move(read);
  total_bytes_ += text.size();
  return true;
}

Token Parser::Take() {
  Token taken = std::move(token_);
  token_ = lexer_.Next();
  return taken;
}

bool Parser::Accept(char c) {
  if (!token_.Is(c)) return false;
  if (c == '{') ++brace_depth_;
  if (c == '}') --brace_depth_;
  Take();
  return true;
}

bool Parser::AcceptWord(std::string_view word) {
  if (!token_.IsWord(word)) return false;
  Take();
  return true;
}

bool Parser::Expect(char c, std::string_view after) {
  if (Accept(c)) return true;
  return Unexpected("'" + std::string(1, c) + "' " + std::string(after));
}

void Parser::SkipNewlines() {
  while (token_.kind == TokenKind::kNewline) Take();
}

bool Parser::AtStatementEnd() const {
  return token_.kind == TokenKind::kNewline ||
         token_.kind == TokenKind::kEnd ||
         (token_.Is('}') && anchors_.size() > 1 && brace_depth_ == 0);
}

bool Parser::ParseList(const std::function<bool()>& item, size_t depth) {
  if (!token_.Is('{')) return item();
  if (depth >= input_.limits.list_nesting) {
    return Error(token_.place, "lists are nested more than " +
                                   std::to_string(input_.limits.list_nesting) +
                                   " deep");
  }
  const SourcePlace opened = token_.place;
  Accept('{');
  SkipNewlines();
  if (token_.Is('}')) return Error(opened, "empty list");
  for (;;) {
    if (!ParseList(item, depth + 1)) return false;
    SkipNewlines();
    if (Accept(',')) SkipNewlines();
    if (Accept('}')) return true;
    if (token_.kind == TokenKind::kEnd) {
      return Error(opened, "'{' without '}'");
    }
  }
}

bool Parser::TakeString(std::string_view what, std::string& out,
                        size_t max_bytes) {
  if (!token_.IsString() && token_.kind != TokenKind::kNumber) {
    return Unexpected(what);
  }
  if (token_.text.size() > max_bytes) {
    return Error(token_.place, std::string(what) + " too long, at most " +
                                   std::to_string(max_bytes) + " characters");
  }
  // Rules with one in a name could not be written into a snapshot.
  if (token_.text.find('\t') != std::string::npos) {
    return Error(token_.place, std::string(what) + " with a tab in it",
                 "write a space");
  }
  out = Take().text;
  return true;
}

bool Parser::TakeNumber(std::string_view what, int64_t low, int64_t high,
                        int64_t& out) {
  int64_t value = token_.number;
  if (token_.kind != TokenKind::kNumber) {
    const auto number = token_.kind == TokenKind::kWord
                            ? ParseUnsigned(token_.text)
                            : std::nullopt;
    if (!number || *number > 0xffffffffffff) {
      return Unexpected("a number for " + std::string(what));
    }
    value = static_cast<int64_t>(*number);
  }
  if (value < low || value > high) {
    return Error(token_.place, std::string(what) + " " +
                                   std::to_string(value) +
                                   " is out of range, " + std::to_string(low) +
                                   " to " + std::to_string(high));
  }
  out = value;
  Take();
  return true;
}

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() ||
      text.empty()) {
    return std::nullopt;
  }
  return value;
}

// Messages.

std::string Parser::SourceLine(SourcePlace place) {
  if (place.file >= texts_.size() || place.line == 0) return "";
  FileText& file = texts_[place.file];
  if (!file.lines) file.lines.emplace(file.text);
  return file.lines->Line(place.line);
}

void Parser::Report(Severity severity, SourcePlace place, std::string message,
                    std::string hint) {
  size_t& count = severity == Severity::kError ? error_count_ : warning_count_;
  if (count >= input_.limits.diagnostics) {
    // Too many warnings are no reason to stop.
    result_.truncated |= severity == Severity::kError;
    return;
  }
  Diagnostic d;
  d.severity = severity;
  d.file = place.file < result_.policy.files.size()
               ? result_.policy.files[place.file]
               : input_.file_name;
  d.line = place.line;
  d.column = place.column;
  d.message = std::move(message);
  d.source_line = SourceLine(place);
  d.hint = std::move(hint);
  // The rules of one list often have the same mistake.
  const std::string where =
      d.file + ':' + std::to_string(d.line) + ':' + std::to_string(d.column);
  if (!seen_.insert({where, d.message}).second) return;
  ++count;
  result_.diagnostics.push_back(std::move(d));
}

bool Parser::Error(SourcePlace place, std::string message, std::string hint) {
  // What a broken macro would have been is not known.
  if (token_.kind == TokenKind::kError && token_.text.empty() &&
      place == token_.place) {
    return false;
  }
  Report(Severity::kError, place, std::move(message), std::move(hint));
  return false;
}

void Parser::Warning(SourcePlace place, std::string message) {
  Report(Severity::kWarning, place, std::move(message), "");
}

bool Parser::Unexpected(std::string_view wanted,
                        std::initializer_list<std::string_view> words) {
  const SourcePlace place = token_.place;
  std::string got;
  std::string hint;
  switch (token_.kind) {
    case TokenKind::kError:
      if (token_.text.rfind("macro '", 0) == 0) {
        const std::vector<std::string> names = lexer_.MacroNames();
        const std::string nearest = NearestWord(
            std::string_view(token_.text)
                .substr(7, token_.text.rfind('\'') - 7),
            {names.begin(), names.end()});
        if (!nearest.empty()) hint = "did you mean $" + nearest + "?";
      }
      return Error(place, token_.text, std::move(hint));
    case TokenKind::kEnd:
      got = "the end of the file";
      break;
    case TokenKind::kNewline:
      got = "the end of the line";
      break;
    case TokenKind::kQuoted:
      got = "\"" + token_.text.substr(0, 64) + "\"";
      break;
    default:
      got = "'" + token_.text.substr(0, 64) + "'";
      break;
  }
  if (token_.kind == TokenKind::kWord && words.size() != 0) {
    hint = DidYouMean(token_.text, words);
  } else if (token_.kind == TokenKind::kWord && !IsReservedWord(token_.text)) {
    hint = DidYouMean(token_.text, ReservedWords());
  }
  return Error(place,
               "syntax error: " + got + " where " + std::string(wanted) +
                   " is wanted",
               std::move(hint));
}

std::string DidYouMean(std::string_view word,
                       const std::vector<std::string_view>& known) {
  const std::string nearest = NearestWord(word, known);
  return nearest.empty() ? "" : "did you mean '" + nearest + "'?";
}

std::string NearestWord(std::string_view word,
                        const std::vector<std::string_view>& known) {
  // Optimal string alignment distance, of which up to a third may be wrong.
  const size_t n = word.size();
  if (n < 2 || n > 32) return "";
  size_t best = n <= 3 ? 2 : n <= 7 ? 3 : 4;
  std::string_view nearest;
  std::vector<std::vector<size_t>> d(n + 1, std::vector<size_t>(34));
  for (std::string_view k : known) {
    if (k == word || k.size() > 32 || k.size() + 3 < n || n + 3 < k.size()) {
      continue;
    }
    for (size_t i = 0; i <= n; ++i) d[i][0] = i;
    for (size_t j = 0; j <= k.size(); ++j) d[0][j] = j;
    for (size_t i = 1; i <= n; ++i) {
      for (size_t j = 1; j <= k.size(); ++j) {
        const size_t cost = word[i - 1] == k[j - 1] ? 0 : 1;
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                            d[i - 1][j - 1] + cost});
        if (i > 1 && j > 1 && word[i - 1] == k[j - 2] &&
            word[i - 2] == k[j - 1]) {
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    }
    if (d[n][k.size()] < best) {
      best = d[n][k.size()];
      nearest = k;
    }
  }
  return std::string(nearest);
}

}  // namespace sluice
