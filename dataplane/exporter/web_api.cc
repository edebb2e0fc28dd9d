#include "dataplane/exporter/web_api.h"

#include <microhttpd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/control/socket/json_rpc.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kApi = "/api/";
constexpr size_t kMaxArguments = 16;
constexpr size_t kMaxText = 1024;  // an anchor's path, a cursor
// An answer is good for a second, and as long again as would make it one
// tenth of the time, but not for ever.
constexpr std::chrono::seconds kFresh{1};
constexpr int kFreshTimes = 10;
constexpr std::chrono::seconds kLongestFresh{30};

// A parameter of a question; the method checks what its text may be.
struct WebParameter {
  const char* name;
  uint64_t most = 0;     // 0: it is a text; else a number of at most that,
  uint64_t instead = 0;  // and what it is if it is not there; 0: nothing
};

struct WebEndpoint {
  const char* name;
  const char* method;
  std::vector<WebParameter> parameters{};
  // Counters as of the last look at the states, which `info` and `process`
  // take.
  bool inexact = false;
};

const std::vector<WebEndpoint>& Endpoints() {
  static const std::vector<WebEndpoint> endpoints = {
      {"commits", "commits.show", {{"filter"}}},
      {"filters", "filter.list", {{"cursor"}, {"limit", 256}}},
      {"info", "info.show", {{"filter"}}},
      {"limits", "limits.show", {{"filter"}}},
      {"ports", "port.list", {{"cursor"}, {"limit", 256}}},
      {"process", "process.show"},
      {"restores", "restore.status", {{"filter"}}},
      {"rules",
       "rules.show",
       {{"filter"}, {"anchor"}, {"cursor"}, {"limit", 256, 100}},
       true},
      {"segments", "segment.list", {{"cursor"}, {"limit", 64}}},
      {"states",
       "states.show",
       {{"filter"},
        {"sort"},
        {"limit", 200, 50},
        {"interface"},
        {"host"},
        {"port", 65535},
        {"protocol", 255},
        {"label"}}},
      {"tables", "tables.list", {{"filter"}}, true},
      {"version", "control.version"}};
  return endpoints;
}

absl::Status Wrong(const std::string& name, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", View(why)));
}

absl::Status AddParameter(const WebParameter& parameter,
                          const std::string& text, json* params) {
  if (text.size() > kMaxText) {
    return Wrong(parameter.name,
                 absl::StrCat("more than ", kMaxText, " bytes"));
  }
  if (parameter.most == 0) {
    if (text.find('\0') != std::string::npos) {
      return Wrong(parameter.name, "a zero byte");
    }
    (*params)[parameter.name] = text;
    return absl::OkStatus();
  }
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  const uint64_t least = parameter.instead == 0 ? 0 : 1;
  if (error != std::errc() || end != text.data() + text.size() ||
      number > parameter.most || number < least) {
    return Wrong(parameter.name, absl::StrCat("not a number from ", least,
                                              " to ", parameter.most));
  }
  (*params)[parameter.name] = number;
  return absl::OkStatus();
}

HttpAnswer ErrorAnswer(unsigned status, std::string_view message) {
  HttpAnswer answer = {
      .status = status,
      .type = kJson,
      .body = HttpBody(Dump({{"error", {{"message", message}}}}) + "\n")};
  if (status == MHD_HTTP_TOO_MANY_REQUESTS) {
    answer.headers.emplace_back(MHD_HTTP_HEADER_RETRY_AFTER, "1");
  }
  return answer;
}

unsigned StatusOf(const CallError& error) {
  switch (static_cast<RpcError>(error.code)) {
    case RpcError::kNotFound: return MHD_HTTP_NOT_FOUND;
    case RpcError::kInvalidParams: return MHD_HTTP_BAD_REQUEST;
    case RpcError::kMoved: return MHD_HTTP_CONFLICT;
    default: return MHD_HTTP_SERVICE_UNAVAILABLE;
  }
}

int64_t UnixMilliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

absl::StatusOr<WebQuestion> ReadWebQuestion(const HttpRequest& request) {
  const auto& endpoints = Endpoints();
  const auto endpoint = std::find_if(
      endpoints.begin(), endpoints.end(), [&](const WebEndpoint& one) {
        return request.path == absl::StrCat(View(kApi), one.name);
      });
  if (endpoint == endpoints.end()) {
    return absl::NotFoundError("there is no such question");
  }
  if (request.broken) {
    return absl::InvalidArgumentError("a parameter without a value");
  }
  if (request.arguments.size() > kMaxArguments) {
    return absl::InvalidArgumentError("too many parameters");
  }
  WebQuestion question = {.method = endpoint->method,
                          .params = json::object()};
  for (const auto& [name, text] : request.arguments) {
    const auto parameter = std::find_if(
        endpoint->parameters.begin(), endpoint->parameters.end(),
        [&name = name](const WebParameter& one) { return name == one.name; });
    if (parameter == endpoint->parameters.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a parameter that ", endpoint->name, " does not have"));
    }
    if (question.params.contains(name)) return Wrong(name, "it is there twice");
    if (absl::Status s = AddParameter(*parameter, text, &question.params);
        !s.ok()) {
      return s;
    }
  }
  for (const WebParameter& parameter : endpoint->parameters) {
    if (parameter.instead != 0 && !question.params.contains(parameter.name)) {
      question.params[parameter.name] = parameter.instead;
    }
  }
  // Only a sorted list has an end.
  if (question.method == "states.show" && !question.params.contains("sort")) {
    question.params["sort"] = "rate";
  }
  if (endpoint->inexact) question.params["exact"] = false;
  return question;
}

WebApi::WebApi(Caller* caller, const Limits& limits,
               std::function<Clock::time_point()> now)
    : caller_(*caller),
      limits_(limits),
      now_(std::move(now)),
      tokens_(limits.burst),
      refilled_(now_()) {}

HttpAnswer WebApi::Answer(const HttpRequest& request) {
  const absl::StatusOr<WebQuestion> question = ReadWebQuestion(request);
  if (!question.ok()) {
    return ErrorAnswer(absl::IsNotFound(question.status())
                           ? MHD_HTTP_NOT_FOUND
                           : MHD_HTTP_BAD_REQUEST,
                       std::string(question.status().message()));
  }
  const std::string key =
      absl::StrCat(question->method, " ", Dump(question->params));
  const Clock::time_point now = now_();
  if (const auto kept = kept_.find(key);
      kept != kept_.end() && now < kept->second.fresh_until) {
    return {.status = kept->second.status,
            .type = kJson,
            .body = kept->second.body};
  }
  if (!MayAsk(now)) {
    return ErrorAnswer(MHD_HTTP_TOO_MANY_REQUESTS,
                       "too many different questions; ask again in a second");
  }
  return Ask(key, *question);
}

bool WebApi::MayAsk(Clock::time_point now) {
  const std::chrono::duration<double> passed = now - refilled_;
  refilled_ = now;
  tokens_ = std::min(limits_.burst, tokens_ + passed.count() * limits_.rate);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

HttpAnswer WebApi::Ask(const std::string& key, const WebQuestion& question) {
  const Clock::time_point began = now_();
  CallError error;
  const std::unique_ptr<json> result =
      caller_.Call(question.method, question.params, &error);
  HttpAnswer answer;
  if (result == nullptr) {
    answer = ErrorAnswer(StatusOf(error), error.message);
    // What the question itself is to blame for may be right the next moment.
    if (answer.status != MHD_HTTP_SERVICE_UNAVAILABLE) return answer;
  } else {
    std::string text =
        absl::StrCat("{\"taken_ms\":", UnixMilliseconds(), ",\"answer\":",
                     Dump(*result), "}\n");
    answer = text.size() > limits_.answer
                 ? ErrorAnswer(MHD_HTTP_SERVICE_UNAVAILABLE,
                               absl::StrCat("the answer has ", text.size(),
                                            " bytes, more than ",
                                            limits_.answer))
                 : HttpAnswer{.type = kJson, .body = HttpBody(std::move(text))};
  }
  const Clock::time_point taken = now_();
  const Clock::duration fresh = std::clamp<Clock::duration>(
      kFreshTimes * (taken - began), kFresh, kLongestFresh);
  Keep(key, {.status = answer.status,
             .body = answer.body,
             .taken = taken,
             .fresh_until = taken + fresh});
  return answer;
}

// The oldest go where there are too many.
void WebApi::Keep(const std::string& key, Kept answer) {
  const auto drop = [this](std::map<std::string, Kept>::iterator one) {
    kept_bytes_ -= one->second.body->size();
    return kept_.erase(one);
  };
  for (auto one = kept_.begin(); one != kept_.end();) {
    const bool stale = one->second.fresh_until <= answer.taken;
    one = stale || one->first == key ? drop(one) : std::next(one);
  }
  const size_t bytes = answer.body->size();
  while (!kept_.empty() && (kept_.size() >= limits_.kept ||
                            kept_bytes_ + bytes > limits_.kept_bytes)) {
    drop(std::min_element(kept_.begin(), kept_.end(),
                          [](const auto& a, const auto& b) {
                            return a.second.taken < b.second.taken;
                          }));
  }
  kept_bytes_ += bytes;
  kept_.emplace(key, std::move(answer));
}

}  // namespace sluice
