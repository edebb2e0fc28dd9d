// The other end of the control socket.
#ifndef SLUICE_DATAPLANE_SLUICECTL_CLIENT_H_
#define SLUICE_DATAPLANE_SLUICECTL_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/metrics/caller.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

inline constexpr char kDefaultSocket[] = "/run/sluice/control.sock";

// Calls over the socket, one after the other; blocking. Connects with the
// first call. Parameters that are too large for a message are passed in a
// memfd.
class SocketCaller : public Caller {
 public:
  explicit SocketCaller(std::string path) : path_(std::move(path)) {}

  std::unique_ptr<nlohmann::json> Call(const std::string& method,
                                       nlohmann::json params,
                                       CallError* error) override;
  std::unique_ptr<nlohmann::json> CallWithDescriptor(
      const std::string& method, nlohmann::json params, int descriptor,
      CallError* error) override;

 private:
  absl::Status Connect();
  absl::Status Send(const std::string& line, int descriptor);
  absl::StatusOr<std::string> Receive();

  const std::string path_;
  UniqueFd socket_;
  std::string received_;  // after the last line
  int64_t next_id_ = 1;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_CLIENT_H_
