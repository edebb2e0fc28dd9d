// The engine's answer to who asks for the process: ProcessControl.
#ifndef SLUICE_DATAPLANE_ENGINE_PROCESS_STATUS_H_
#define SLUICE_DATAPLANE_ENGINE_PROCESS_STATUS_H_

#include "dataplane/control/api/process_control.h"

namespace sluice {

class Engine;

// Control lcore.
class ProcessStatus final : public ProcessControl {
 public:
  // The engine is open, and outlives it.
  explicit ProcessStatus(Engine* engine) : engine_(*engine) {}

  void Show(Done<ProcessListing> done) override;
  absl::Status SetLogLevel(const std::string& level,
                           const std::string& module) override;

 private:
  Engine& engine_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ENGINE_PROCESS_STATUS_H_
