#include "dataplane/ports/removal_watch.h"

#include <rte_dev.h>
#include <rte_pause.h>

#include <cerrno>
#include <utility>

namespace sluice {
namespace {

void OnDeviceEvent(const char*, rte_dev_event_type type, void* context) {
  if (type != RTE_DEV_EVENT_REMOVE) return;
  static_cast<std::atomic<bool>*>(context)->store(true,
                                                  std::memory_order_release);
}

}  // namespace

RemovalWatch::RemovalWatch(std::string device, std::atomic<bool>* removal)
    : device_(std::move(device)), removal_(removal) {
  rte_dev_event_callback_register(device_.c_str(), OnDeviceEvent, removal_);
}

RemovalWatch::~RemovalWatch() {
  // It refuses while the callback runs on the interrupt thread.
  while (rte_dev_event_callback_unregister(device_.c_str(), OnDeviceEvent,
                                           removal_) == -EAGAIN) {
    rte_pause();
  }
}

}  // namespace sluice
