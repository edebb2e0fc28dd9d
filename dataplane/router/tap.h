// dataplane/router/ is the host's side of routers: one thread that hands
// packets for a router's own addresses to the Linux kernel by TAP interfaces,
// gives what the kernel sends to the workers, and copies the kernel's routes
// and neighbours into the tables that workers read. It may use dataplane/ports/
// and what is below it, and knows no filters and no workers: only their rings.
//
// This header: a TAP interface of the kernel.
#ifndef SLUICE_DATAPLANE_ROUTER_TAP_H_
#define SLUICE_DATAPLANE_ROUTER_TAP_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "packet/neighbor.h"

struct iovec;

namespace sluice {

class Tap {
 public:
  struct Options {
    std::string name;   // of the interface
    std::string netns;  // empty: the process's own
    MacAddress mac{};
    uint16_t mtu = 1500;

    friend bool operator==(const Options&, const Options&) = default;
  };
  enum class Outcome : uint8_t {
    kDone,
    kNothing,  // nothing is there, or the kernel does not take it now
    kGone,     // the interface was taken away
  };

  // Makes the interface, with that MAC address and MTU, and brings it up.
  // AlreadyExists: there is one of that name. PermissionDenied, NotFound: with
  // what is missing.
  static absl::StatusOr<std::unique_ptr<Tap>> Make(const Options& options);

  // Any of these by one thread at a time. With the object the interface goes.

  // Reads a frame of the kernel's, or nothing.
  Outcome Read(std::span<uint8_t> frame, size_t* length);
  // Gives it one. kNothing: it is lost, for instance because the interface is
  // down.
  Outcome Write(const iovec* parts, int count);
  // Whether the kernel is to see a cable in it.
  void SetCarrier(bool up);

  int fd() const { return file_.get(); }
  // The kernel's number of it.
  int index() const { return index_; }
  const Options& options() const { return options_; }

 private:
  explicit Tap(Options options) : options_(std::move(options)) {}
  // In the namespace.
  absl::Status Open();

  const Options options_;
  UniqueFd file_;
  int index_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_TAP_H_
