// The methods of the control socket that move states, over a fake.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "dataplane/control/socket/json_rpc.h"
#include "nlohmann/json.hpp"
#include "tests/support/fake_transfer.h"
#include "tests/unit/dataplane/control/control_operations_fixture.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;


class ControlTransferTest : public ControlOperationsTest {
 protected:
  ControlTransferTest() { operations_.SetTransfer(&transfer_); }

  // The answer to a request with a descriptor beside it.
  json AskWithDescriptor(const std::string& method, json params) {
    answers_.clear();
    Send(json{{"jsonrpc", "2.0"},
              {"id", 1},
              {"method", method},
              {"params", std::move(params)}}
             .dump(),
         UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
    return json::parse(answers_.at(0));
  }

  FakeTransfer transfer_;
};

TEST_F(ControlTransferTest, AnExportGoesToTheDescriptorThatCame) {
  transfer_.export_result->states = 12;
  transfer_.export_result->duration = 34;
  const json answer =
      AskWithDescriptor("state.export", {{"filter", "main"}});
  EXPECT_EQ(answer["result"]["states"], 12) << answer;
  EXPECT_EQ(answer["result"]["duration_us"], 34);
  EXPECT_EQ(transfer_.exported, "main");
  EXPECT_TRUE(transfer_.descriptor.valid());
}

TEST_F(ControlTransferTest, WithoutADescriptorNothingBegins) {
  for (const char* method : {"state.export", "state.import"}) {
    const json answer = Ask(method, {{"filter", "main"}});
    EXPECT_THAT(answer["error"]["message"].get<std::string>(),
                HasSubstr("descriptor"))
        << method;
  }
  EXPECT_EQ(transfer_.exported, "");
  EXPECT_FALSE(transfer_.imported.has_value());
}

TEST_F(ControlTransferTest, AFailedExportSaysWhy) {
  transfer_.export_result =
      absl::ResourceExhaustedError("No space left on device");
  const json answer =
      AskWithDescriptor("state.export", {{"filter", "main"}});
  EXPECT_THAT(answer["error"]["message"].get<std::string>(),
              HasSubstr("No space left"));
}

TEST_F(ControlTransferTest, AnImportHasItsOptionsAndAnswersWithItsEnd) {
  ImportReport report;
  report.answer.code = RestoreCode::kConflict;
  report.answer.status = {.incarnation = 5, .state = RestoreState::kRestored};
  report.joined = true;
  transfer_.import_result = report;
  const json answer = AskWithDescriptor(
      "state.import", {{"filter", "main"},
                       {"replace", 77},
                       {"orphans", "drop"},
                       {"policy", true}});
  EXPECT_EQ(answer["result"]["code"], "conflict") << answer;
  EXPECT_EQ(answer["result"]["state"], "RESTORED");
  EXPECT_EQ(answer["result"]["incarnation"], 5);
  EXPECT_EQ(answer["result"]["joined"], true);
  ASSERT_TRUE(transfer_.imported.has_value());
  EXPECT_EQ(transfer_.imported->filter, "main");
  EXPECT_EQ(transfer_.imported->replace_generation, 77u);
  EXPECT_FALSE(transfer_.imported->keep_orphans);
  EXPECT_TRUE(transfer_.imported->policy);
  EXPECT_TRUE(transfer_.imported->snapshot.valid());
}

TEST_F(ControlTransferTest, OptionsOfAnImportAreReadStrictly) {
  const json answer = AskWithDescriptor(
      "state.import", {{"filter", "main"}, {"orphans", "adopt"}});
  EXPECT_TRUE(answer.contains("error")) << answer;
  EXPECT_FALSE(transfer_.imported.has_value());
}

TEST_F(ControlTransferTest, HowRestoresStand) {
  RestoreListing& main = transfer_.restores[0];
  main.status = {.incarnation = 3,
                 .state = RestoreState::kFailed,
                 .attempt = 2,
                 .flags = kFilterEnabled | kFilterExpects};
  main.last.emplace();
  main.last->code = RestoreCode::kFailed;
  main.last->failure = RestoreFailure::kAbsent;
  main.last->detail = "no such file";
  main.ended = 1'700'000'000;
  const json listing = Result("restore.status")["restores"][0];
  EXPECT_EQ(listing["state"], "FAILED");
  EXPECT_EQ(listing["expects"], true);
  EXPECT_EQ(listing["fail"], "closed");
  EXPECT_EQ(listing["last"]["failure"], "no snapshot");
  EXPECT_EQ(listing["last"]["detail"], "no such file");
  EXPECT_EQ(listing["last"]["ended"], 1'700'000'000);
  EXPECT_EQ(Code("restore.status", {{"filter", "nobody"}}), kNotFound);
}

TEST_F(ControlTransferTest, StatusSaysWhatIsWaitedForAndTheLimits) {
  RestoreListing& main = transfer_.restores[0];
  main.status = {.incarnation = 3,
                 .state = RestoreState::kQueued,
                 .attempt = 2,
                 .flags = kFilterEnabled | kFilterExpects};
  main.wait = {.awaits = RestoreAwaits::kRetry,
               .quiet = 0,
               .deadline = 150'000,
               .until_give_up = 41'000'000,
               .give_up = 60'000'000,
               .failure = RestoreFailure::kCommitDeadline,
               .detail = "no worker got on"};
  json answer = Result("restore.status");
  json waits = answer["restores"][0]["waits"];
  EXPECT_EQ(waits["for"], "the next attempt");
  EXPECT_EQ(waits["in_ms"], 150);
  EXPECT_EQ(waits["gives_up_in_ms"], 41'000);
  EXPECT_EQ(waits["failed_before"]["failure"], "commit deadline");
  EXPECT_EQ(waits["failed_before"]["detail"], "no worker got on");
  EXPECT_EQ(answer["restores"][0]["give_up_ms"], 60'000);
  EXPECT_EQ(answer["limits"], (json{{"queue_ms", 1000},
                                    {"validate_ms", 5000},
                                    {"commit_ms", 50},
                                    {"give_up_ms", 60'000},
                                    {"hold_ms", 200}}));
  main.wait = {.awaits = RestoreAwaits::kValidation,
               .quiet = 20'000,
               .deadline = 5'000'000};
  waits = Result("restore.status")["restores"][0]["waits"];
  EXPECT_EQ(waits["for"], "the validation");
  EXPECT_EQ(waits["quiet_ms"], 20);
  EXPECT_EQ(waits["deadline_ms"], 5000);
  EXPECT_FALSE(waits.contains("failed_before"));
}

TEST_F(ControlTransferTest, WhatTheQueueHasCounted) {
  transfer_.metrics.queue.started = 4;
  transfer_.metrics.held = 9;
  const std::string text = Result("restore.metrics").dump();
  EXPECT_THAT(text, HasSubstr("\"started\":4"));
  EXPECT_THAT(text, HasSubstr("\"held\":9"));
}

}  // namespace
}  // namespace sluice
