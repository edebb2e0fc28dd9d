// Reading of the daemon's answers: what is missing or of another type reads
// as empty, so that a daemon of another version can not crash the tool.
#ifndef SLUICE_DATAPLANE_METRICS_JSON_READ_H_
#define SLUICE_DATAPLANE_METRICS_JSON_READ_H_

#include <cstdint>
#include <string>

#include "nlohmann/json.hpp"

namespace sluice {

inline const nlohmann::json& Member(const nlohmann::json& object,
                                    const char* name) {
  static const nlohmann::json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(name);
  return it == object.end() ? nothing : *it;
}

inline std::string Text(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = Member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// For a column that must not be empty.
inline std::string OrDash(std::string text) {
  return text.empty() ? "-" : text;
}

inline uint64_t Number(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = Member(object, name);
  return value.is_number_integer() ? value.get<uint64_t>() : 0;
}

inline bool Truth(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = Member(object, name);
  return value.is_boolean() && value.get<bool>();
}

inline bool Has(const nlohmann::json& object, const char* name) {
  return !Member(object, name).is_null();
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_METRICS_JSON_READ_H_
