// An export for which the memory does not suffice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "restore/snapshot_reader.h"
#include "tests/unit/restore/allocation_count.h"
#include "transfer_node.h"

namespace sluice {
namespace {

constexpr int kFlows = 1100;
// The exporter makes room for states in pieces of a mebibyte, which is more than
// anything else of an export of so few takes at once.
constexpr size_t kRoom = size_t{1} << 20;

TEST(TransferMemoryTest, AnExportThatIsNotWholeIsNone) {
  TransferNode node;
  node->Load("pass keep state\n");
  for (int flow = 0; flow < kFlows; ++flow) {
    const std::string port = std::to_string(2000 + flow);
    ASSERT_TRUE(node.Passes(
        0, (flow % 2 == 0 ? "udp 10.0.0.2:" : "udp [2001:db8::2]:") + port +
               (flow % 2 == 0 ? " > 10.1.0.1:53 data 8"
                              : " > [2001:db8:1::1]:53 data 8")));
  }
  ASSERT_EQ(node.States(), 2u * kFlows);
  const UniqueFd file = MemoryFile();
  FailAllocation(0, kRoom);
  const absl::StatusOr<ExportReport> report = node.Export(file.get());
  const bool failed = AllocationHasFailed();
  FailAllocation(-1);
  ASSERT_TRUE(failed) << "no state needed memory";
  EXPECT_EQ(report.status().code(), absl::StatusCode::kResourceExhausted)
      << report.status();
  const std::vector<uint8_t> bytes = ContentsOf(file.get());
  EXPECT_FALSE(ReadSnapshot(bytes).ok()) << bytes.size();
  EXPECT_EQ(node.service().Metrics().exports, 0u);
  EXPECT_EQ(node.service().Metrics().exports_failed, 1u);
  // With memory it is whole, and the states are where they were.
  const auto read = ReadSnapshot(node.Snapshot());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->snapshot.parents.size(), 2u * kFlows);
}

}  // namespace
}  // namespace sluice
