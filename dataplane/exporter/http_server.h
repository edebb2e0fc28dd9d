// HTTP for those who only look: GET and HEAD, on a thread of its own
// (libmicrohttpd). What clients cost is bounded by their number, the size of a
// request and the time without movement. The thread waits for each answer.
#ifndef SLUICE_DATAPLANE_EXPORTER_HTTP_SERVER_H_
#define SLUICE_DATAPLANE_EXPORTER_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

struct MHD_Daemon;

namespace sluice {

struct HttpLimits {
  uint32_t clients = 8;
  std::chrono::seconds timeout{10};  // without movement
  size_t request = 16 << 10;         // bytes of a request's lines
};

struct HttpRequest {
  std::string_view method;
  std::string_view path;
  // Behind the '?', decoded; a name without '=' has no value, and `broken`.
  std::vector<std::pair<std::string, std::string>> arguments{};
  bool broken = false;
  // The headers of these names, each as often as it came.
  std::vector<std::string> hosts{};
  std::vector<std::string> fetch_sites{};
};

// What is answered to a request.
struct HttpAnswer {
  unsigned status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body;
  // Names and values that live as long as the process.
  std::vector<std::pair<const char*, const char*>> headers{};
};

// The body of an answer.
std::shared_ptr<const std::string> HttpBody(std::string text);
// The answer to all other methods.
HttpAnswer OnlyGetAndHead();

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  // `listener` listens; `section` is what errors begin with; `handler` is
  // called on the server's thread.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      UniqueFd listener, const HttpLimits& limits, std::string_view section,
      Handler handler);
  // Waits for the thread, which may be in the handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  HttpAnswer Answer(const HttpRequest& request) { return handler_(request); }

 private:
  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {}

  const Handler handler_;
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_HTTP_SERVER_H_
