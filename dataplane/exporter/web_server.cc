#include "dataplane/exporter/web_server.h"

#include <microhttpd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "dataplane/exporter/web_page.h"
#include "packet/address.h"

namespace sluice {
namespace {

// What every answer says to browsers: nothing of it is shown inside of other
// pages, kept, guessed at or told to others.
constexpr std::pair<const char*, const char*> kHeaders[] = {
    {"Content-Security-Policy", kWebPolicy},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
    {"Cache-Control", "no-store"}};

const std::shared_ptr<const std::string>& Page() {
  static const auto page = HttpBody(std::string(kWebPage));
  return page;
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool IsOwnHost(std::string_view host, const std::vector<std::string>& names) {
  std::string_view name = host;
  std::string_view rest;
  if (host.substr(0, 1) == "[") {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    name = host.substr(1, end - 1);
    rest = host.substr(end + 1);
    const std::optional<Address> address = ParseAddress(name);
    if (!address || address->family != Family::kIpv6) return false;
    return rest.empty() || (rest[0] == ':' && IsPort(rest.substr(1)));
  }
  if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    name = host.substr(0, colon);
    if (!IsPort(host.substr(colon + 1))) return false;
  }
  const std::optional<Address> address = ParseAddress(name);
  if (address && address->family == Family::kIpv4) return true;
  const std::string lower = absl::AsciiStrToLower({name.data(), name.size()});
  return lower == "localhost" ||
         std::find(names.begin(), names.end(), lower) != names.end();
}

WebServer::WebServer(const Options& options, Caller* caller)
    : hosts_(options.hosts), api_(caller, options.api) {}

absl::StatusOr<std::unique_ptr<WebServer>> WebServer::Start(
    UniqueFd listener, const Options& options, Caller* caller) {
  auto server = std::make_unique<WebServer>(options, caller);
  absl::StatusOr<std::unique_ptr<HttpServer>> http = HttpServer::Start(
      std::move(listener), options.http, "[web]",
      [web = server.get()](const HttpRequest& request) {
        return web->Answer(request);
      });
  if (!http.ok()) return http.status();
  server->http_ = *std::move(http);
  return server;
}

HttpAnswer WebServer::Answer(const HttpRequest& request) {
  HttpAnswer answer = Choose(request);
  answer.headers.insert(answer.headers.end(), std::begin(kHeaders),
                        std::end(kHeaders));
  return answer;
}

HttpAnswer WebServer::Choose(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return OnlyGetAndHead();
  }
  if (request.hosts.size() != 1 || !IsOwnHost(request.hosts[0], hosts_)) {
    return {.status = MHD_HTTP_MISDIRECTED_REQUEST,
            .body = HttpBody("this page is asked for by an address or as "
                             "localhost; add other names to `hosts` of [web]\n")};
  }
  if (request.path == "/") {
    return {.type = "text/html; charset=utf-8", .body = Page()};
  }
  if (request.path.substr(0, 5) != "/api/") {
    return {.status = MHD_HTTP_NOT_FOUND,
            .body = HttpBody("there is nothing; see /\n")};
  }
  // Other sites could not read what they ask, but it would be work.
  for (const std::string& site : request.fetch_sites) {
    if (site != "same-origin" && site != "none") {
      return {.status = MHD_HTTP_FORBIDDEN,
              .body = HttpBody("another site's page asks nothing here\n")};
    }
  }
  return api_.Answer(request);
}

}  // namespace sluice
