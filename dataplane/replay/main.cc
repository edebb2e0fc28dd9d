// sluice-replay: see replay_options.cc for what it does.
#include <iostream>
#include <string>

#include "dataplane/replay/compare.h"
#include "dataplane/replay/replay.h"
#include "dataplane/replay/replay_options.h"

namespace {

int Fail(const absl::Status& status, int code) {
  std::cerr << "sluice-replay: " << status.message() << "\n";
  return code;
}

// As diff does it: 0 if nothing fares otherwise.
int Compare(const sluice::ReplayOptions& options) {
  constexpr int kChanged = 3;
  const auto comparison = sluice::Comparison::Open(options);
  if (!comparison.ok()) return Fail(comparison.status(), 1);
  if (absl::Status s = (*comparison)->Run(); !s.ok()) return Fail(s, 1);
  if (!options.quiet) std::cout << (*comparison)->Summary();
  return (*comparison)->changed() == 0 ? 0 : kChanged;
}

}  // namespace

int main(int argc, char** argv) {
  std::string exit_early;
  const auto options =
      sluice::ParseReplayArguments(argc, argv, &exit_early);
  if (!options.ok()) return Fail(options.status(), 2);
  if (!exit_early.empty()) {
    std::cout << exit_early;
    return 0;
  }
  if (!options->compare_file.empty()) return Compare(*options);
  const auto replay = sluice::Replay::Open(*options);
  if (!replay.ok()) return Fail(replay.status(), 1);
  if (absl::Status s = (*replay)->Run(); !s.ok()) return Fail(s, 1);
  if (!options->quiet) std::cout << (*replay)->Summary();
  if (const uint64_t count = (*replay)->checksum_drops(); count != 0) {
    std::cerr << "sluice-replay: " << count
              << (count == 1 ? " packet" : " packets")
              << " with a wrong checksum dropped. A capture taken on a "
                 "sending host has them\nwhen its NIC was to compute them: "
                 "--ignore-checksums replays it all the same.\n";
  }
  if (const uint64_t count = (*replay)->cut(); count != 0) {
    std::cerr << "sluice-replay: " << count
              << (count == 1 ? " packet was" : " packets were")
              << " cut by the capture's snapshot length and dropped unjudged: "
                 "states may be\nmissing. Capture whole packets (tcpdump -s "
                 "0); --strict refuses such a capture.\n";
  }
  return 0;
}
