// Writes a snapshot with many states, for transfers that are to take a while:
//
//   make_states COUNT FILTER FILE
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: make_states COUNT FILTER FILE\n");
    return 2;
  }
  const uint32_t count =
      static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10));
  sluice::Snapshot snapshot = sluice::EmptySnapshot();
  snapshot.header.id = {7, static_cast<uint8_t>(count),
                        static_cast<uint8_t>(count >> 8),
                        static_cast<uint8_t>(count >> 16)};
  snapshot.meta.filter = argv[2];
  snapshot.parents.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    // Every other one is IPv6.
    const bool v6 = i % 2 != 0;
    sluice::SnapshotState state = sluice::SampleState(
        (uint64_t{i} + 1) << 8, sluice::protocol::kUdp,
        v6 ? "2001:db8::2" : "10.0.0.2", static_cast<uint16_t>(1 + i % 50000),
        v6 ? "2001:db8:1::1" : "192.0.2.1", 53);
    auto& bytes = state.peers[0].address.bytes;
    const uint32_t host = i / 50000 + 1;
    bytes[v6 ? 13 : 1] = static_cast<uint8_t>(host);
    // Long enough for the slowest machine.
    state.remaining = 60'000;
    state.idle = 0;
    snapshot.parents.push_back(state);
  }
  const auto bytes = sluice::WriteSnapshot(snapshot);
  if (!bytes.ok()) {
    std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
    return 1;
  }
  std::ofstream out(argv[3], std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes->data()),
            static_cast<std::streamsize>(bytes->size()));
  return out ? 0 : 1;
}
