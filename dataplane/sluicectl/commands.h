// The part of the command line that is words and not pfctl's: a noun, a verb,
// a name and options, in any order after the verb.
#ifndef SLUICE_DATAPLANE_SLUICECTL_COMMANDS_H_
#define SLUICE_DATAPLANE_SLUICECTL_COMMANDS_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/sluicectl/arguments.h"

namespace sluice {

// Whether this word is a command by itself.
bool HasNoVerb(std::string_view noun);
// Whether a command begins with this word.
bool IsCommand(std::string_view word);
// "; did you mean filter?" for a first word that is near a command; else "".
std::string DidYouMeanCommand(std::string_view word);

// Reads the command that begins at `words[*at]` into `arguments->command`, and
// general options among its own. `*at` is the number of words at the end.
absl::Status ReadCommand(std::span<const std::string> words, size_t* at,
                         Arguments* arguments);

// What makes no sense together with, or within, `arguments.command`.
absl::Status CheckCommand(const Arguments& arguments);

// For ReadCommand(), from arguments.cc. The general option at `words[*at]`,
// which is left at the option's last word.
absl::Status ReadOption(std::span<const std::string> words, size_t* at,
                        Arguments* arguments);
// The value of the long option at `words[*at]`: after '=' or the next word,
// at which `*at` is left then. Never empty.
absl::StatusOr<std::string> ValueOf(std::span<const std::string> words,
                                    size_t* at);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_COMMANDS_H_
