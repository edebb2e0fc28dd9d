// The commands of sluicectl and their options, as data: what is read of them,
// and what completion offers.
#ifndef SLUICE_DATAPLANE_SLUICECTL_COMMAND_TABLE_H_
#define SLUICE_DATAPLANE_SLUICECTL_COMMAND_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "dataplane/sluicectl/arguments.h"

namespace sluice {

// Names behind the command.
enum class Naming : uint8_t { kNone, kOptional, kRequired, kWords };

struct CommandForm {
  std::string_view noun;
  std::string_view word;
  Verb verb;
  Naming naming;
};

struct CommandOption {
  std::string_view name;
  Verb verb;
  bool takes_value;
  // An error is of the value.
  absl::Status (*set)(std::string value, Command* command);
  // Others that have it.
  std::optional<Verb> also = std::nullopt;
  std::optional<Verb> and_also = std::nullopt;

  bool IsOf(Verb which) const {
    return verb == which || also == which || and_also == which;
  }
};

std::span<const CommandForm> CommandForms();
std::span<const CommandOption> CommandOptions();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_COMMAND_TABLE_H_
