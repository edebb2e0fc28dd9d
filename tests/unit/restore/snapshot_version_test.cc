// What older and newer programs write, and the golden corpus.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "restore/snapshot_format.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes Write(const Snapshot& snapshot) {
  auto bytes = WriteSnapshot(snapshot);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *std::move(bytes) : Bytes();
}

TEST(SnapshotVersionTest, GoldenCorpus) {
  for (uint16_t minor = 0; minor <= kSnapshotMinor; ++minor) {
    for (const NamedSnapshot& sample : GoldenSnapshots()) {
      if (sample.since > minor) continue;
      const std::string name = std::string(SLUICE_GOLDEN_SNAPSHOTS) + "/1." +
                               std::to_string(minor) + "/" + sample.name +
                               ".snap";
      std::ifstream file(name, std::ios::binary);
      ASSERT_TRUE(file.is_open()) << name;
      const Bytes golden{std::istreambuf_iterator<char>(file), {}};
      const auto read = ReadSnapshot(golden);
      ASSERT_TRUE(read.ok()) << name << ": " << read.status();
      EXPECT_EQ(read->snapshot, sample.snapshot) << name;
      EXPECT_EQ(read->minor, minor);
      if (minor == kSnapshotMinor) {
        EXPECT_EQ(Write(sample.snapshot), golden) << name;
      }
    }
  }
}

TEST(SnapshotVersionTest, ExpectationsHaveAnInterfaceSinceMinorOne) {
  const Snapshot bound = BoundSnapshot();
  Bytes bytes = Write(bound);
  bytes[10] = 0;
  FixSnapshot(bytes);
  EXPECT_EQ(ReadSnapshot(bytes).status().code(),
            absl::StatusCode::kUnimplemented);
  // What was written before is met where its parent is bound to.
  Snapshot older = bound;
  older.expectations[0].interface.clear();
  bytes = Write(older);
  EXPECT_EQ(ReadSnapshot(bytes)->snapshot, older);
  bytes[10] = 0;
  FixSnapshot(bytes);
  const auto read = ReadSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->snapshot.expectations[0].interface, "em0");
}

TEST(SnapshotVersionTest, MajorVersionsAreRefusedAndMinorOnesRead) {
  for (const uint8_t major : {0, 2, 255}) {
    Bytes bytes = Write(FullSnapshot());
    bytes[8] = major;
    FixSnapshot(bytes);
    EXPECT_TRUE(absl::IsUnimplemented(ReadSnapshot(bytes).status()));
  }
  Bytes newer = Write(FullSnapshot());
  newer[10] = kSnapshotMinor + 1;
  newer[14] = 4;  // a flag that this minor version does not have
  newer.insert(newer.begin() + kSnapshotHeaderBytes, 16, 0xee);
  newer[12] = kSnapshotHeaderBytes + 16;
  FixSnapshot(newer);
  const auto read = ReadSnapshot(newer);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->minor, kSnapshotMinor + 1);
  EXPECT_EQ(read->snapshot, FullSnapshot());
  // This version and those before it have neither.
  for (uint8_t minor = 0; minor <= kSnapshotMinor; ++minor) {
    newer[10] = minor;
    FixSnapshot(newer);
    EXPECT_FALSE(ReadSnapshot(newer).ok());
  }
}

}  // namespace
}  // namespace sluice
