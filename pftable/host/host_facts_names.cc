// The system's lists of names: services(5) and protocols(5).
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"

namespace sluice {
namespace {

// Calls `use` with the fields of each line: a name, its number, other names.
template <typename Use>
void EachLine(std::string_view text, Use use) {
  std::istringstream in{std::string(text)};
  std::string line;
  while (std::getline(in, line)) {
    line.resize(std::min(line.find('#'), line.size()));
    std::istringstream words(line);
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    if (fields.size() >= 2) use(fields);
  }
}

// All of `text`, which is digits.
std::optional<uint16_t> NumberOf(std::string_view text) {
  uint16_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace

void HostFacts::AddServices(std::string_view text) {
  EachLine(text, [&](const std::vector<std::string>& fields) {
    const size_t slash = fields[1].find('/');
    if (slash == std::string::npos) return;
    const auto port = NumberOf(std::string_view(fields[1]).substr(0, slash));
    if (!port) return;
    const std::string transport = fields[1].substr(slash + 1);
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i == 1) continue;
      AddService(fields[i], transport, *port);
    }
  });
}

void HostFacts::AddProtocols(std::string_view text) {
  EachLine(text, [&](const std::vector<std::string>& fields) {
    const auto number = NumberOf(fields[1]);
    if (!number || *number > 255) return;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i == 1) continue;
      AddProtocol(fields[i], static_cast<uint8_t>(*number));
    }
  });
}

}  // namespace sluice
