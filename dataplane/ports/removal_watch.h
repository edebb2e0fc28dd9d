// Hears that a device is being taken out.
#ifndef SLUICE_DATAPLANE_PORTS_REMOVAL_WATCH_H_
#define SLUICE_DATAPLANE_PORTS_REMOVAL_WATCH_H_

#include <atomic>
#include <string>

namespace sluice {

// While it lives, `*removal` becomes true (release, on EAL's interrupt thread)
// when the kernel asks for the device back: vfio-pci does so for a hot-unplug
// and for an unbind, and waits until the process has let the device go.
class RemovalWatch {
 public:
  // `device` is EAL's name; `removal` outlives the watch.
  RemovalWatch(std::string device, std::atomic<bool>* removal);
  ~RemovalWatch();
  RemovalWatch(const RemovalWatch&) = delete;
  RemovalWatch& operator=(const RemovalWatch&) = delete;

 private:
  const std::string device_;
  std::atomic<bool>* const removal_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_REMOVAL_WATCH_H_
