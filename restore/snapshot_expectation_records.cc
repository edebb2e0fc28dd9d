// The records of what helpers expect.
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_records.h"

namespace sluice {

absl::Status SnapshotRecords::ReadExpectation(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  auto& expectations = result_->snapshot.expectations;
  SnapshotExpectation& expectation = expectations.emplace_back();
  expectation.parent = from.Get<uint64_t>();
  expectation.binding.rule = from.Get<uint64_t>();
  expectation.remaining = from.Get<uint32_t>();
  expectation.binding.flags = from.Get<uint32_t>();
  const auto family = from.Get<uint8_t>();
  expectation.proto = from.Get<uint8_t>();
  expectation.helper = static_cast<SnapshotHelper>(from.Get<uint8_t>());
  from.GetZero(1);
  expectation.client_port = from.Get<uint16_t>();
  const auto attributes = from.Get<uint16_t>();
  expectation.client = from.GetAddress(family);
  expectation.server = from.GetAddress(family);
  const bool of_its_own = result_->minor >= kMinorOfExpectedInterface;
  const absl::Status status = ReadAttributes(
      from, attributes, of_its_own ? &expectation.interface : nullptr,
      &expectation.binding);
  if (!status.ok()) return status;
  // The others have a record of their own.
  if (!from.done() || expectation.helper != SnapshotHelper::kTftp) {
    return Bad(tlv.offset, "an expectation of another form");
  }
  if (absl::Status s = CheckExpectation(tlv.offset); !s.ok()) return s;
  // Before they had one of their own it was the parent's.
  if (!of_its_own) {
    expectation.interface =
        FindState(result_->snapshot.parents, expectation.parent)->interface;
  }
  return absl::OkStatus();
}

absl::Status SnapshotRecords::ReadExpectedFlow(const SnapshotTlv& tlv) {
  SnapshotCursor from(tlv.value, tlv.value_offset);
  SnapshotExpectation& flow = result_->snapshot.expectations.emplace_back();
  flow.parent = from.Get<uint64_t>();
  flow.binding.rule = from.Get<uint64_t>();
  flow.remaining = from.Get<uint32_t>();
  flow.binding.flags = from.Get<uint32_t>();
  const auto family = from.Get<uint8_t>();
  flow.proto = from.Get<uint8_t>();
  flow.helper = static_cast<SnapshotHelper>(from.Get<uint8_t>());
  flow.direction = static_cast<Direction>(from.Get<uint8_t>());
  flow.client_port = from.Get<uint16_t>();
  flow.server_port = from.Get<uint16_t>();
  flow.port_behind = from.Get<uint16_t>();
  const auto attributes = from.Get<uint16_t>();
  for (uint32_t& tag : flow.tag) tag = from.Get<uint32_t>();
  flow.client = from.GetAddress(family);
  flow.server = from.GetAddress(family);
  const absl::Status status =
      ReadAttributes(from, attributes, &flow.interface, &flow.binding);
  if (!status.ok()) return status;
  if (!from.done() || flow.helper == SnapshotHelper::kTftp) {
    return Bad(tlv.offset, "an expectation of another form");
  }
  return CheckExpectation(tlv.offset);
}

absl::Status SnapshotRecords::CheckExpectation(size_t offset) {
  const auto& expectations = result_->snapshot.expectations;
  const SnapshotExpectation& last = expectations.back();
  const char* wrong = WhatIsWrong(last);
  if (wrong == nullptr) {
    wrong = WhatIsWrongWithLink(
        last, FindState(result_->snapshot.parents, last.parent));
  }
  if (wrong != nullptr) return Bad(offset, wrong);
  const bool first = expectations.size() == 1;
  const SnapshotExpectation* const before =
      first ? nullptr : &expectations[expectations.size() - 2];
  if (!first && !IsBefore(*before, last)) {
    return Bad(offset, "expectations out of order, or two of a kind");
  }
  const bool same = !first && before->parent == last.parent &&
                    before->helper == last.helper;
  expected_of_parent_ = same ? expected_of_parent_ + 1 : 1;
  if (expected_of_parent_ > MostExpected(last)) {
    return Bad(offset, "its parent expects too much");
  }
  return absl::OkStatus();
}

}  // namespace sluice
