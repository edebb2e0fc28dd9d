// Reads the parameters of a request, strictly: what is missing, of another
// type, out of range or unknown is an error that names it.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_PARAMS_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_PARAMS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"
#include "dataplane/control/api/state_control.h"
#include "packet/address.h"
#include "packet/packet.h"
#include "packet/vlan.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Bytes of a cursor of a listing, of an anchor's path, of a file's.
inline constexpr size_t kMaxCursor = 256;
inline constexpr size_t kMaxAnchorPath = 1024;
inline constexpr size_t kMaxFilePath = 4096;

class Params {
 public:
  enum class Need : uint8_t { kOptional, kRequired };

  // `params` is an object, or null for none, and outlives this.
  explicit Params(const nlohmann::json& params);

  // Each leaves `out` as it is if the parameter is not there. After the first
  // error nothing more is read; Finish() returns it.
  // Without control characters but tabs.
  void String(std::string_view name, size_t max_size, std::string* out,
              Need need = Need::kOptional);
  // Any bytes.
  void Text(std::string_view name, std::string* out,
            Need need = Need::kOptional);
  void Bool(std::string_view name, bool* out);
  void Bool(std::string_view name, std::optional<bool>* out);
  void Number(std::string_view name, uint64_t max,
              std::optional<uint64_t>* out);
  void Number(std::string_view name, uint64_t min, uint64_t max,
              std::optional<uint64_t>* out);
  // One of two words; whether it is the second.
  void Choice(std::string_view name, std::string_view first,
              std::string_view second, bool* out);
  // 1 to `max`; more is `max`.
  void PageSize(std::string_view name, size_t max, size_t* out);
  // Hexadecimal digits, at most `max_digits`, as identifiers are shown.
  void Hex(std::string_view name, size_t max_digits,
           std::optional<uint64_t>* out);
  void Prefix(std::string_view name, std::optional<sluice::Prefix>* out);
  void Vlan(std::string_view name, std::optional<VlanId>* out);
  void Direction(std::string_view name, std::optional<sluice::Direction>* out);
  void Dialect(std::string_view name, std::optional<sluice::Dialect>* out);
  void Helper(std::string_view name, std::optional<StateHelper>* out);
  void Optimization(std::string_view name,
                    std::optional<RulesetOptimization>* out);
  // A name of a filter or a port: 1 to `max_size` letters, digits, '_', '-',
  // '.' and ':', of which a letter, a digit or '_' comes first.
  void Name(std::string_view name, size_t max_size, std::string* out,
            Need need = Need::kOptional);
  // ["a", "b", ...] of such names, at most `max`, none twice.
  void Names(std::string_view name, size_t max, size_t max_size,
             std::vector<std::string>* out, Need need = Need::kOptional);
  // The parameters of an object, which `read` takes; an unknown one in it is
  // an error too. Whether the object is there.
  bool Object(std::string_view name, const std::function<void(Params&)>& read);
  // [{...}, ...], at most `max`, the same for each.
  void Objects(std::string_view name, size_t max,
               const std::function<void(Params&)>& read,
               Need need = Need::kOptional);
  // ["10.0.0.1/24", "2001:db8::1", ...], at most `max`; host bits are kept.
  void Prefixes(std::string_view name, size_t max,
                std::vector<sluice::Prefix>* out);
  // A name of a table: 1 to 31 bytes of letters, digits, '_', '-', '.', ':'.
  void TableName(std::string_view name, std::string* out);
  // [{"name", "text"}, ...], at most `max`.
  void Files(std::string_view name, size_t max,
             const std::function<void(std::string, std::string)>& add);
  // ["a", ...], at most `max`, of at most `max_size` bytes each and without
  // control characters.
  void Strings(std::string_view name, size_t max, size_t max_size,
               std::vector<std::string>* out);
  // [1, 2, ...], at most `max`, none above `most`.
  void Numbers(std::string_view name, size_t max, uint64_t most,
               std::vector<uint64_t>* out);
  // {"name": "value", ...}, at most `max`.
  void StringMap(std::string_view name, size_t max,
                 std::vector<std::pair<std::string, std::string>>* out);
  // ["10.0.0.1", "!10.1.0.0/16", ...], or a text of such lines, which takes a
  // fraction of the memory; networks are masked.
  void Entries(std::string_view name, std::vector<TableEntry>* out,
               Need need = Need::kRequired);
  // {"www.example": ["192.0.2.1", ...], ...}, at most `max` members.
  void Hosts(std::string_view name, size_t max,
             std::vector<std::pair<std::string, std::vector<Address>>>* out);
  // ["10.0.0.1", ...], at most `max`.
  void Addresses(std::string_view name, size_t max, std::vector<Address>* out);

  // The first error; else one for a parameter that was never asked for.
  absl::Status Finish();

 private:
  // The parameter, if it is there and nothing has failed yet.
  const nlohmann::json* Take(std::string_view name,
                             Need need = Need::kOptional);
  // The same of an array of at most `max` elements; null for anything else,
  // which is an error. `elements` is what they are called in it.
  const nlohmann::json* TakeArray(std::string_view name, size_t max,
                                  std::string_view elements,
                                  Need need = Need::kOptional);
  void ReadLines(std::string_view name, std::string_view lines,
                 std::vector<TableEntry>* out);
  void Fail(std::string_view name, std::string_view what);

  const nlohmann::json& params_;
  size_t taken_ = 0;
  std::vector<std::string_view> asked_;
  absl::Status status_;
};

// An optional number, which is in range, of the narrower type that queries have.
template <typename T>
std::optional<T> Narrow(const std::optional<uint64_t>& wide) {
  if (!wide) return std::nullopt;
  return static_cast<T>(*wide);
}

// "10.0.0.1", "10.0.0.0/8", "2001:db8::/32" with an optional leading '!'.
// Nothing for any other text. The network is masked.
std::optional<TableEntry> ParseTableEntry(std::string_view text);
std::string ToString(const TableEntry& entry);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_PARAMS_H_
