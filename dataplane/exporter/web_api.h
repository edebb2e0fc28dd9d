// What the web page may ask: a table of questions, each of which is one method
// of the control socket that only reads, with few of its parameters, and
// bounded. Equal questions share an answer for a while, and there are only so
// many of the others a second, so that any number of pages costs the control
// lcore and the workers about as much as one.
#ifndef SLUICE_DATAPLANE_EXPORTER_WEB_API_H_
#define SLUICE_DATAPLANE_EXPORTER_WEB_API_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/exporter/http_server.h"
#include "dataplane/metrics/caller.h"
#include "nlohmann/json.hpp"

namespace sluice {

struct WebQuestion {
  std::string method;
  nlohmann::json params;
};

// What "/api/NAME?..." asks. NotFound: there is no such question; others say
// which parameter is wrong.
absl::StatusOr<WebQuestion> ReadWebQuestion(const HttpRequest& request);

class WebApi {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    double rate = 20;   // questions a second that are asked on, after
    double burst = 40;  // so many at once
    size_t answer = size_t{8} << 20;  // bytes of one
    size_t kept = 64;                 // answers,
    size_t kept_bytes = size_t{16} << 20;
  };

  // `now` is for tests.
  WebApi(Caller* caller, const Limits& limits,
         std::function<Clock::time_point()> now = Clock::now);

  // Waits for the answer.
  HttpAnswer Answer(const HttpRequest& request);

 private:
  struct Kept {
    unsigned status = 0;
    std::shared_ptr<const std::string> body;
    Clock::time_point taken;
    Clock::time_point fresh_until;
  };

  bool MayAsk(Clock::time_point now);
  HttpAnswer Ask(const std::string& key, const WebQuestion& question);
  void Keep(const std::string& key, Kept answer);

  Caller& caller_;
  const Limits limits_;
  const std::function<Clock::time_point()> now_;
  double tokens_;
  Clock::time_point refilled_;
  std::map<std::string, Kept> kept_;
  size_t kept_bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_WEB_API_H_
