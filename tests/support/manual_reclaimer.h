// A grace period that ends when the test says so.
#ifndef SLUICE_TESTS_SUPPORT_MANUAL_RECLAIMER_H_
#define SLUICE_TESTS_SUPPORT_MANUAL_RECLAIMER_H_

#include <cstdint>

#include "pftable/engine/reclaimer.h"

namespace sluice {

class ManualReclaimer final : public Reclaimer {
 public:
  uint64_t StartGracePeriod() override { return ++started_; }
  bool HasPassed(uint64_t period) override { return period <= passed_; }
  void PassAll() { passed_ = started_; }

 private:
  uint64_t started_ = 0;
  uint64_t passed_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_MANUAL_RECLAIMER_H_
