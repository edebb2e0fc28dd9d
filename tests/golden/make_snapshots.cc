// Writes the golden corpus of the snapshot format:
//
//   make_snapshots DIRECTORY
//
// Run it for a new minor version only, into a folder of that version: what
// older versions wrote is to be read for ever.
#include <cstdio>
#include <fstream>
#include <string>

#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_snapshots DIRECTORY\n");
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
