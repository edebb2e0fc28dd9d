// Writes the golden corpus of the snapshot format:
//
//   make_snapshots DIRECTORY
//   make_snapshots --states COUNT FILE    a snapshot of so many connections
//
// Run it for a new minor version only, into a folder of that version: what
// older versions wrote is to be read for ever.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace {

class FileSink final : public sluice::SnapshotSink {
 public:
  explicit FileSink(const char* path) : out_(path, std::ios::binary) {}
  absl::Status Write(std::span<const uint8_t> bytes) override {
    out_.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return out_ ? absl::OkStatus() : absl::DataLossError("write");
  }

 private:
  std::ofstream out_;
};

int WriteMany(uint32_t count, const char* path) {
  sluice::SnapshotStates states;
  for (uint32_t i = 0; i < count; ++i) {
    sluice::SnapshotState state = sluice::OneOfMany(i);
    // Of a connection that is there for hours.
    state.timeout = sluice::Timeout::kTcpEstablished;
    state.remaining = 86'400'000;
    for (sluice::SnapshotPeer& peer : state.peers) peer.phase = 4;
    states.Add(state);
  }
  states.Finish();
  FileSink sink(path);
  const auto written =
      sluice::WriteSnapshot(sluice::EmptySnapshot(), states, &sink);
  if (written.ok()) return 0;
  std::fprintf(stderr, "%s\n", written.status().ToString().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--states") {
    return WriteMany(static_cast<uint32_t>(std::atol(argv[2])), argv[3]);
  }
  if (argc != 2) {
    std::fprintf(stderr,
                 "usage: make_snapshots DIRECTORY | --states COUNT FILE\n");
    return 2;
  }
  for (const sluice::NamedSnapshot& sample : sluice::GoldenSnapshots()) {
    const auto bytes = sluice::WriteSnapshot(sample.snapshot);
    if (!bytes.ok()) {
      std::fprintf(stderr, "%s: %s\n", sample.name.c_str(),
                   bytes.status().ToString().c_str());
      return 1;
    }
    std::ofstream out(std::string(argv[1]) + "/" + sample.name + ".snap",
                      std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes->data()),
              static_cast<std::streamsize>(bytes->size()));
    if (!out) return 1;
  }
  return 0;
}
