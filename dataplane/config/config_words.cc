#include "dataplane/config/config_words.h"

namespace sluice {
namespace {

// EAL arguments that sluiced sets itself, and where to say it instead.
struct OwnedArgument {
  std::string_view argument;
  const char* instead;
};
constexpr OwnedArgument kOwnedArguments[] = {
    {"-l", "set [workers] lcores"},
    {"-c", "set [workers] lcores"},
    {"-s", "set [workers] lcores"},
    {"-S", "set [workers] lcores"},
    {"--lcores", "set [workers] lcores"},
    {"--main-lcore", "set [workers] control_lcore"},
    {"--vdev", "set `device` of a [[port]]"},
    {"-a", "set `device` of a [[port]]"},
    {"--allow", "set `device` of a [[port]]"},
    {"-b", "only devices of a [[port]] are used"},
    {"--block", "only devices of a [[port]] are used"},
    {"--no-huge", "set [eal] hugepages = \"no\""},
    {"--in-memory", "sluiced gives it with hugepages"},
    {"--no-shconf", "sluiced gives it without hugepages"},
    {"--file-prefix", "set [eal] file_prefix"},
    {"--no-telemetry", "set [eal] telemetry"},
    {"--telemetry", "set [eal] telemetry"},
    {"--proc-type", "sluiced is always the primary process"},
    {"-h", "see `sluiced --help`"},
    {"--help", "see `sluiced --help`"},
    {"-v", "see `sluiced --version`"},
};

}  // namespace

const char* InsteadOfEalArgument(std::string_view argument) {
  const std::string_view word = argument.substr(0, argument.find('='));
  for (const OwnedArgument& owned : kOwnedArguments) {
    // Short options may hold their value: "-l2".
    const bool is_short = owned.argument.size() == 2;
    if (word == owned.argument ||
        (is_short && word.starts_with(owned.argument))) {
      return owned.instead;
    }
  }
  return nullptr;
}

}  // namespace sluice
