#include "dataplane/config/config_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "absl/strings/str_join.h"
#include "dataplane/config/config.h"

namespace sluice {
namespace {

// Debian's absl::string_view is not std's.
absl::string_view Absl(std::string_view text) {
  return {text.data(), text.size()};
}

std::string JoinWords(std::span<const std::string_view> words,
                      absl::string_view separator) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) absl::StrAppend(&text, separator);
    absl::StrAppend(&text, Absl(word));
  }
  return text;
}

const char* TypeWord(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string LineOf(std::string_view text, uint32_t line) {
  size_t begin = 0;
  for (uint32_t i = 1; i < line; ++i) {
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return "";
    begin = end + 1;
  }
  std::string_view found = text.substr(begin, text.find('\n', begin) - begin);
  if (!found.empty() && found.back() == '\r') found.remove_suffix(1);
  return std::string(found.substr(0, 200));
}

std::string DidYouMean(std::string_view word,
                       std::span<const std::string_view> words) {
  const std::string_view nearest = Nearest(word, words);
  return nearest.empty() ? ""
                         : absl::StrCat("did you mean '", Absl(nearest),
                                        "'? ");
}

}  // namespace

ConfigReader::ConfigReader(std::string file, std::string_view text)
    : file_(std::move(file)), text_(text) {}

void ConfigReader::Error(const toml::source_region& place, std::string message,
                         std::string hint) {
  failed_ = true;
  Diagnostic diagnostic;
  diagnostic.file = file_;
  diagnostic.line = place.begin.line;
  diagnostic.column = place.begin.column;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  if (diagnostic.line > 0) {
    diagnostic.source_line = LineOf(text_, diagnostic.line);
  }
  diagnostics_.push_back(std::move(diagnostic));
}

void ConfigReader::RefuseUnknownKeys(const toml::table& table,
                                     std::string_view section,
                                     std::span<const std::string_view> known) {
  for (const auto& [key, value] : table) {
    if (std::ranges::find(known, key.str()) != known.end()) continue;
    Error(key.source(),
          absl::StrCat("unknown key '", Absl(key.str()), "' in ",
                       Absl(section)),
          absl::StrCat(DidYouMean(key.str(), known), "known here: ",
                       JoinWords(known, ", ")));
  }
}

const toml::table* ConfigReader::Table(const toml::table& parent,
                                       std::string_view key) {
  const toml::node* node = parent.get(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a table"),
          absl::StrCat("write a line [", Absl(key), "] and its keys below it"));
    return nullptr;
  }
  return node->as_table();
}

const toml::array* ConfigReader::Tables(const toml::table& parent,
                                        std::string_view key, size_t limit,
                                        const char* reason) {
  const toml::node* node = parent.get(key);
  if (node == nullptr) return nullptr;
  const std::string hint = absl::StrCat(
      "write a line [[", Absl(key), "]] and its keys below it, for each one");
  if (!node->is_array()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a list of tables"),
          hint);
    return nullptr;
  }
  const toml::array& array = *node->as_array();
  if (array.size() > limit) {
    Error(array[limit].source(),
          absl::StrCat("more than ", limit, " [[", Absl(key), "]]"),
          reason);
    return nullptr;
  }
  for (const toml::node& element : array) {
    if (element.is_table()) continue;
    Error(element.source(),
          absl::StrCat("'", Absl(key), "' holds ", TypeWord(element),
                       ", not tables"),
          hint);
    return nullptr;
  }
  return &array;
}

bool ConfigReader::Integer(const toml::table& table, std::string_view key,
                           int64_t low, int64_t high, int64_t* out) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  const std::string hint = absl::StrCat("give an integer from ", low, " to ",
                                        high);
  if (!node->is_integer()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not an integer"),
          hint);
    return false;
  }
  const int64_t value = node->as_integer()->get();
  if (value < low || value > high) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", value, ", outside of ", low,
                       " to ", high),
          hint);
    return false;
  }
  *out = value;
  return true;
}

bool ConfigReader::Boolean(const toml::table& table, std::string_view key,
                           bool* out) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a boolean"),
          "write true or false, without quotes");
    return false;
  }
  *out = node->as_boolean()->get();
  return true;
}

bool ConfigReader::CheckString(const std::string& text, std::string_view key,
                               const toml::source_region& place) {
  if (text.size() > kMaxConfigString) {
    Error(place,
          absl::StrCat("'", Absl(key), "' has ", text.size(), " bytes"),
          absl::StrCat("use at most ", kMaxConfigString));
    return false;
  }
  if (std::ranges::any_of(text, [](unsigned char c) {
        return c < 0x20 || c == 0x7f;
      })) {
    Error(place, absl::StrCat("'", Absl(key), "' has a control character"),
          "remove it");
    return false;
  }
  return true;
}

bool ConfigReader::String(const toml::table& table, std::string_view key,
                          std::string* out) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  if (!node->is_string()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a string"),
          "put it in double quotes");
    return false;
  }
  const std::string& text = node->as_string()->get();
  if (!CheckString(text, key, node->source())) return false;
  *out = text;
  return true;
}

bool ConfigReader::Mode(const toml::table& table, std::string_view key,
                        const char* danger, uint16_t* out) {
  std::string mode;
  if (!String(table, key, &mode)) return false;
  const toml::source_region& place = table.get(key)->source();
  uint32_t bits = 0;
  bool octal = mode.size() == 3 || mode.size() == 4;
  for (const char digit : mode) {
    octal = octal && digit >= '0' && digit <= '7';
    bits = bits * 8 + static_cast<uint32_t>(digit - '0');
  }
  if (!octal || bits > 0777) {
    Error(place, absl::StrCat("'", View(key), "' cannot be \"", mode, "\""),
          "give file permissions in octal: \"0660\"");
    return false;
  }
  if ((bits & 0002) != 0) {
    Error(place, absl::StrCat("'", View(key), "' \"", mode, "\" ", danger),
          "use \"0660\" and name a group");
    return false;
  }
  *out = static_cast<uint16_t>(bits);
  return true;
}

bool ConfigReader::Word(const toml::table& table, std::string_view key,
                        std::span<const std::string_view> words, size_t* out) {
  std::string text;
  if (!String(table, key, &text)) return false;
  const auto found = std::ranges::find(words, std::string_view(text));
  if (found == words.end()) {
    Error(table.get(key)->source(),
          absl::StrCat("'", Absl(key), "' cannot be \"", text, "\""),
          absl::StrCat(DidYouMean(text, words), "use one of: ",
                       JoinWords(words, ", ")));
    return false;
  }
  *out = static_cast<size_t>(found - words.begin());
  return true;
}

bool ConfigReader::Strings(const toml::table& table, std::string_view key,
                           size_t limit, const EachString& each) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  if (!node->is_array()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a list"),
          "put it in brackets: [\"...\"]");
    return false;
  }
  const toml::array& array = *node->as_array();
  if (array.size() > limit) {
    Error(array[limit].source(),
          absl::StrCat("'", Absl(key), "' has more than ", limit, " entries"),
          "remove the ones that are not needed");
    return false;
  }
  for (const toml::node& element : array) {
    if (!element.is_string()) {
      Error(element.source(),
            absl::StrCat("'", Absl(key), "' holds ", TypeWord(element),
                         ", not strings"),
            "put every entry in double quotes");
      continue;
    }
    const std::string& text = element.as_string()->get();
    if (CheckString(text, key, element.source())) each(text, element.source());
  }
  return true;
}

bool ConfigReader::Integers(const toml::table& table, std::string_view key,
                            size_t limit, int64_t low, int64_t high,
                            const EachInteger& each) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  const std::string hint = absl::StrCat("give a list of at most ", limit,
                                        " integers from ", low, " to ", high);
  if (!node->is_array()) {
    Error(node->source(),
          absl::StrCat("'", Absl(key), "' is ", TypeWord(*node),
                       ", not a list"),
          hint);
    return false;
  }
  const toml::array& array = *node->as_array();
  if (array.size() > limit) {
    Error(array[limit].source(),
          absl::StrCat("'", Absl(key), "' has more than ", limit, " entries"),
          hint);
    return false;
  }
  for (const toml::node& element : array) {
    if (!element.is_integer()) {
      Error(element.source(),
            absl::StrCat("'", Absl(key), "' holds ", TypeWord(element),
                         ", not integers"),
            hint);
      continue;
    }
    const int64_t value = element.as_integer()->get();
    if (value < low || value > high) {
      Error(element.source(),
            absl::StrCat("'", Absl(key), "' holds ", value, ", outside of ",
                         low, " to ", high),
            hint);
      continue;
    }
    each(value, element.source());
  }
  return true;
}

std::vector<Diagnostic> ConfigReader::TakeDiagnostics() {
  std::ranges::stable_sort(diagnostics_, [](const auto& a, const auto& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(diagnostics_);
}

}  // namespace sluice
