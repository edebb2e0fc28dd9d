// The command line of a program whose options are a table: reading by
// getopt_long(3), and the help that goes with it.
#ifndef SLUICE_DATAPLANE_BASE_COMMAND_LINE_H_
#define SLUICE_DATAPLANE_BASE_COMMAND_LINE_H_

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice {

struct CommandOption {
  // At least one of both: "file" is --file, 'f' is -f.
  std::string_view name = {};
  char letter = 0;
  std::string_view value = {};  // what it is called in the help; empty: a flag
  std::string_view help = {};
  // Gets the value, or "" of a flag; what is wrong with it comes back.
  std::function<absl::Status(std::string_view value)> take = {};
  bool required = false;
  bool repeated = false;  // may be given more than once
};

// Takes every option of the arguments in their order. InvalidArgument, with a
// message for the user: an unknown option, an operand, a value too many or too
// few, an option missing, or what `take` said, behind the option's name.
// "-h", "--help": nothing more is looked at, and *help is true.
absl::Status ReadCommandLine(int argc, char** argv,
                             std::span<const CommandOption> options,
                             bool* help);

// A line an option, the text beside it in a column of its own, within 80
// columns.
std::string OptionHelp(std::span<const CommandOption> options);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_COMMAND_LINE_H_
