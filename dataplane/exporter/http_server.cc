#include "dataplane/exporter/http_server.h"

#include <microhttpd.h>
#include <strings.h>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

void FreeBody(void* body) {
  delete static_cast<std::shared_ptr<const std::string>*>(body);
}

MHD_Result KeepArgument(void* request, MHD_ValueKind, const char* key,
                        size_t key_size, const char* value, size_t value_size) {
  auto& to = *static_cast<HttpRequest*>(request);
  if (value == nullptr) to.broken = true;
  to.arguments.emplace_back(
      std::string(key, key_size),
      value == nullptr ? std::string() : std::string(value, value_size));
  return MHD_YES;
}

MHD_Result KeepHeader(void* request, MHD_ValueKind, const char* key,
                      const char* value) {
  auto& to = *static_cast<HttpRequest*>(request);
  if (key == nullptr || value == nullptr) return MHD_YES;
  if (::strcasecmp(key, "Host") == 0) to.hosts.emplace_back(value);
  if (::strcasecmp(key, "Sec-Fetch-Site") == 0) {
    to.fetch_sites.emplace_back(value);
  }
  return MHD_YES;
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
  HttpRequest request = {.method = method, .path = url};
  MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, &KeepArgument,
                              &request);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &KeepHeader, &request);
  const HttpAnswer answer = static_cast<HttpServer*>(server)->Answer(request);
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
  for (const auto& [name, value] : answer.headers) {
    MHD_add_response_header(response, name, value);
  }
  const MHD_Result queued =
      MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

}  // namespace

std::shared_ptr<const std::string> HttpBody(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

HttpAnswer OnlyGetAndHead() {
  return {.status = MHD_HTTP_METHOD_NOT_ALLOWED,
          .body = HttpBody("only GET and HEAD are answered\n"),
          .headers = {{MHD_HTTP_HEADER_ALLOW, "GET, HEAD"}}};
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    UniqueFd listener, const HttpLimits& limits, std::string_view section,
    Handler handler) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handler)));
  server->daemon_ = MHD_start_daemon(
      MHD_USE_POLL_INTERNAL_THREAD, 0, nullptr, nullptr, &OnRequest,
      server.get(), MHD_OPTION_LISTEN_SOCKET, listener.get(),
      MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(limits.clients),
      MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(limits.timeout.count()),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits.request, MHD_OPTION_END);
  if (server->daemon_ == nullptr) {
    return absl::InternalError(absl::StrCat(
        std::string(section), " listen: the HTTP server does not start"));
  }
  // It closes it at its end.
  static_cast<void>(listener.Release());
  return server;
}

HttpServer::~HttpServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace sluice
