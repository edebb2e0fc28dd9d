// Typed access to a TOML document that collects everything that is wrong with
// it, each with its place, instead of stopping at the first error.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_READER_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_READER_H_

#include <toml++/toml.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/policy/diagnostic.h"

namespace sluice {

class ConfigReader {
 public:
  ConfigReader(std::string file, std::string_view text);

  // `message` says what is wrong, `hint` what to do.
  void Error(const toml::source_region& place, std::string message,
             std::string hint);
  bool failed() const { return failed_; }

  // Refuses every key of `table` that is not in `known`. `section` is how
  // messages call the table: "[workers]".
  void RefuseUnknownKeys(const toml::table& table, std::string_view section,
                         std::span<const std::string_view> known);

  // The table or the array of tables `key` of `parent`, or null if there is
  // none or it is something else (which is an error).
  const toml::table* Table(const toml::table& parent, std::string_view key);
  // `reason`: why there are no more of them, for who has more.
  const toml::array* Tables(
      const toml::table& parent, std::string_view key, size_t limit,
      const char* reason = "remove the ones that are not needed");

  // Each leaves `*out` alone and returns false if the key is not there, or if
  // its value is not what it should be, which is an error.
  bool Integer(const toml::table& table, std::string_view key, int64_t low,
               int64_t high, int64_t* out);
  template <typename T>
  bool Number(const toml::table& table, std::string_view key, int64_t low,
              int64_t high, T* out) {
    int64_t value;
    if (!Integer(table, key, low, high, &value)) return false;
    *out = static_cast<T>(value);
    return true;
  }
  bool Boolean(const toml::table& table, std::string_view key, bool* out);
  bool String(const toml::table& table, std::string_view key,
              std::string* out);
  // File permissions in octal that leave others nothing to write; `danger` says
  // what they would do with that.
  bool Mode(const toml::table& table, std::string_view key, const char* danger,
            uint16_t* out);
  // One of `words`; gives its index.
  bool Word(const toml::table& table, std::string_view key,
            std::span<const std::string_view> words, size_t* out);
  // Calls `each` with every string of a list of at most `limit` strings.
  using EachString =
      std::function<void(const std::string&, const toml::source_region&)>;
  bool Strings(const toml::table& table, std::string_view key, size_t limit,
               const EachString& each);
  // The same for a list of integers in low..high.
  using EachInteger = std::function<void(int64_t, const toml::source_region&)>;
  bool Integers(const toml::table& table, std::string_view key, size_t limit,
                int64_t low, int64_t high, const EachInteger& each);

  // All that was found, ascending by place.
  std::vector<Diagnostic> TakeDiagnostics();

 private:
  bool CheckString(const std::string& text, std::string_view key,
                   const toml::source_region& place);

  std::string file_;
  std::string_view text_;
  bool failed_ = false;
  std::vector<Diagnostic> diagnostics_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_READER_H_
