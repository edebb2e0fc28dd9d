// The daemon's engine for tests: small, without hugepages, the same at each
// run.
#ifndef SLUICE_TESTS_SUPPORT_TEST_ENGINE_H_
#define SLUICE_TESTS_SUPPORT_TEST_ENGINE_H_

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "dataplane/engine/engine.h"

namespace sluice {

// What tests begin with. The EAL runs once they have a pool.
inline Engine::Options TestEngineOptions(rte_mempool* pool) {
  return {.may_sleep = true,
          .pool = pool,
          .may_hold = 100,
          .handoff_ring = 64,
          .states = 4096,
          .rule_slots = 256,
          .table_slots = 16,
          .expectations = 64,
          .tftp_helper = true,
          .seed = 1};
}

// Up to where the workers may run; null, and the test has failed, if it does
// not get there.
inline std::unique_ptr<Engine> StartTestEngine(Engine::Options options) {
  spdlog::set_level(spdlog::level::off);
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Make(std::move(options));
  EXPECT_TRUE(engine.ok()) << engine.status();
  if (!engine.ok()) return nullptr;
  for (const auto step : {&Engine::Open, &Engine::Start}) {
    const absl::Status status = ((**engine).*step)();
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return nullptr;
  }
  return *std::move(engine);
}

// Rules for a filter, in force for the workers' next rounds.
inline absl::Status LoadRules(LiveFilter& filter, const std::string& text) {
  LoadRequest request;
  request.name = "rules";
  request.text = text;
  auto job = filter.Rules().BeginLoad(std::move(request));
  job->Build();
  const absl::StatusOr<LoadResult> result = job->Publish();
  if (!result.ok()) return result.status();
  if (!result->HasErrors()) return absl::OkStatus();
  return absl::InvalidArgumentError(FormatDiagnostics(result->diagnostics));
}

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_TEST_ENGINE_H_
