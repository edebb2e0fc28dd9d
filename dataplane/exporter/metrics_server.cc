#include "dataplane/exporter/metrics_server.h"

#include <microhttpd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

// As version 0.0.4 of the format has it.
constexpr std::string_view kPrometheusType =
    "text/plain; version=0.0.4; charset=utf-8";
constexpr std::chrono::seconds kFresh{1};

std::shared_ptr<const std::string> Body(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

void FreeBody(void* body) {
  delete static_cast<std::shared_ptr<const std::string>*>(body);
}

MHD_Result OnRequest(void* server, MHD_Connection* connection, const char* url,
                     const char* method, const char*, const char*,
                     size_t* upload_size, void** seen) {
  // The first call comes before the request's body, which nobody wants.
  static int mark;
  const bool has_body = *upload_size != 0;
  if (*seen == nullptr &&
      (method == std::string_view("GET") || method == std::string_view("HEAD"))) {
    *seen = &mark;
    return MHD_YES;
  }
  if (has_body) {
    *upload_size = 0;
    return MHD_YES;
  }
  const HttpAnswer answer =
      static_cast<MetricsServer*>(server)->Answer(method, url);
  // Kept by the response until the slowest client has it.
  auto* body = new std::shared_ptr<const std::string>(answer.body);
  MHD_Response* const response =
      MHD_create_response_from_buffer_with_free_callback_cls(
          (*body)->size(), const_cast<char*>((*body)->data()), FreeBody, body);
  if (response == nullptr) {
    FreeBody(body);
    return MHD_NO;
  }
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                          std::string(answer.type).c_str());
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result queued =
      MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

}  // namespace

MetricsServer::MetricsServer(const MetricsServerLimits& limits, Text text)
    : limits_(limits), text_(std::move(text)) {}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    UniqueFd listener, const MetricsServerLimits& limits, Text text) {
  std::unique_ptr<MetricsServer> server(
      new MetricsServer(limits, std::move(text)));
  server->daemon_ = MHD_start_daemon(
      MHD_USE_POLL_INTERNAL_THREAD, 0, nullptr, nullptr, &OnRequest,
      server.get(), MHD_OPTION_LISTEN_SOCKET, listener.get(),
      MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(limits.clients),
      MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(limits.timeout.count()),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits.request, MHD_OPTION_END);
  if (server->daemon_ == nullptr) {
    return absl::InternalError("[metrics] listen: the HTTP server does not "
                               "start");
  }
  // It closes it at its end.
  static_cast<void>(listener.Release());
  return server;
}

MetricsServer::~MetricsServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

HttpAnswer MetricsServer::Answer(std::string_view method,
                                 std::string_view path) {
  if (method != "GET" && method != "HEAD") {
    return {.status = MHD_HTTP_METHOD_NOT_ALLOWED,
            .body = Body("only GET and HEAD are answered\n")};
  }
  if (path == "/metrics") return Metrics();
  if (path == "/") return {.body = Body("sluice: see /metrics\n")};
  return {.status = MHD_HTTP_NOT_FOUND, .body = Body("see /metrics\n")};
}

HttpAnswer MetricsServer::Metrics() {
  const auto now = std::chrono::steady_clock::now();
  if (last_ != nullptr && now - taken_ < kFresh) {
    return {.type = kPrometheusType, .body = last_};
  }
  absl::StatusOr<std::string> text = text_();
  if (text.ok() && text->size() > limits_.text) {
    text = absl::ResourceExhaustedError(
        absl::StrCat("the metrics have ", text->size(),
                     " bytes, more than ", limits_.text,
                     "; lower `filters`, `labels` or `tables` of [metrics]"));
  }
  if (!text.ok()) {
    LogWarning("metrics: {}", std::string(text.status().message()));
    last_ = nullptr;
    return {.status = MHD_HTTP_SERVICE_UNAVAILABLE,
            .body = Body(std::string(text.status().message()) + "\n")};
  }
  last_ = Body(*std::move(text));
  taken_ = now;
  return {.type = kPrometheusType, .body = last_};
}

}  // namespace sluice
