// The web page and what it asks, over HTTP, for those who only look.
#ifndef SLUICE_DATAPLANE_EXPORTER_WEB_SERVER_H_
#define SLUICE_DATAPLANE_EXPORTER_WEB_SERVER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/exporter/http_server.h"
#include "dataplane/exporter/web_api.h"
#include "dataplane/metrics/caller.h"

namespace sluice {

// Whether a Host header is one that no other site can send for itself: an
// address, localhost or one of `names`, with a port or without. A browser that
// was told by somebody's name server that his name means this machine
// (DNS rebinding) sends that name.
bool IsOwnHost(std::string_view host, const std::vector<std::string>& names);

class WebServer {
 public:
  struct Options {
    HttpLimits http{.clients = 16};
    WebApi::Limits api{};
    std::vector<std::string> hosts{};
  };

  // `listener` listens; `caller` is used until the end.
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(
      UniqueFd listener, const Options& options, Caller* caller);
  // For what needs no connections.
  WebServer(const Options& options, Caller* caller);
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  HttpAnswer Answer(const HttpRequest& request);

 private:
  HttpAnswer Choose(const HttpRequest& request);

  const std::vector<std::string> hosts_;
  // The server's thread.
  WebApi api_;
  // The last member: it ends first, and waits for the thread.
  std::unique_ptr<HttpServer> http_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_WEB_SERVER_H_
