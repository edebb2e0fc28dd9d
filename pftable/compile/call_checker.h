// Bounds what one packet can cost: refuses loops of anchors, deep nesting, and
// anchors that multiply. For the compilers of this folder.
#ifndef SLUICE_PFTABLE_COMPILE_CALL_CHECKER_H_
#define SLUICE_PFTABLE_COMPILE_CALL_CHECKER_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pftable/compile/compile.h"
#include "pftable/engine/generation.h"

namespace sluice {

template <typename CallingRule>
class CallChecker {
 public:
  CallChecker(const std::vector<CompiledRuleset>& rulesets,
              const std::vector<CallingRule>& rules,
              const std::vector<uint32_t>& calls)
      : rulesets_(rulesets),
        rules_(rules),
        calls_(calls),
        results_(rulesets.size()) {}

  // `place` becomes the index into the rules of a call that closes a loop or
  // goes too deep.
  absl::Status Check(uint32_t ruleset, uint32_t* place) {
    Result& result = results_[ruleset];
    if (result.state == State::kDone) return absl::OkStatus();
    result.state = State::kOpen;
    const auto [begin, end] = rulesets_[ruleset];
    uint64_t steps = end - begin;
    uint32_t depth = 0;
    for (uint32_t i = begin; i < end; ++i) {
      const CallingRule& rule = rules_[i];
      for (uint32_t c = rule.call_begin; c < rule.call_end; ++c) {
        const uint32_t callee = calls_[c];
        if (results_[callee].state == State::kOpen) {
          *place = i;
          return absl::InvalidArgumentError("the anchor calls itself");
        }
        if (absl::Status s = Check(callee, place); !s.ok()) return s;
        steps += results_[callee].steps;
        depth = std::max(depth, results_[callee].depth + 1);
        *place = i;
        if (depth > kMaxAnchorDepth) {
          return absl::InvalidArgumentError(absl::StrCat(
              "anchors are nested more than ", kMaxAnchorDepth, " deep"));
        }
        if (steps > kMaxEvaluationSteps) {
          return absl::InvalidArgumentError(absl::StrCat(
              "anchors call each other so often that a packet could meet "
              "more than ", kMaxEvaluationSteps, " rules"));
        }
      }
    }
    result = Result{State::kDone, depth, steps};
    return absl::OkStatus();
  }

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  struct Result {
    State state = State::kNew;
    uint32_t depth = 0;
    uint64_t steps = 0;
  };

  const std::vector<CompiledRuleset>& rulesets_;
  const std::vector<CallingRule>& rules_;
  const std::vector<uint32_t>& calls_;
  std::vector<Result> results_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_CALL_CHECKER_H_
