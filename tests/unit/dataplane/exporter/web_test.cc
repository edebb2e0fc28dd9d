// The web page: what may be asked, by whom, how often, and what every answer
// says to browsers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/exporter/web_api.h"
#include "dataplane/exporter/web_page.h"
#include "dataplane/exporter/web_server.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StrEq;

using Arguments = std::vector<std::pair<std::string, std::string>>;

HttpRequest Get(std::string_view path, Arguments arguments = {}) {
  return {.method = "GET",
          .path = path,
          .arguments = std::move(arguments),
          .hosts = {"127.0.0.1:8469"}};
}

// ---- What may be asked -----------------------------------------------------

TEST(WebQuestionTest, IsAMethodWithFewBoundedParameters) {
  const struct {
    const char* path;
    Arguments arguments;
    const char* method;
    json params;
  } cases[] = {
      {"/api/version", {}, "control.version", json::object()},
      {"/api/info", {{"filter", "vm1"}}, "info.show", {{"filter", "vm1"}}},
      {"/api/rules",
       {{"anchor", "a/b"}, {"cursor", "7"}},
       "rules.show",
       {{"anchor", "a/b"}, {"cursor", "7"}, {"limit", 100}, {"exact", false}}},
      {"/api/states", {}, "states.show", {{"sort", "rate"}, {"limit", 50}}},
      {"/api/states",
       {{"sort", "age"}, {"limit", "200"}, {"port", "0"}, {"protocol", "255"}},
       "states.show",
       {{"sort", "age"}, {"limit", 200}, {"port", 0}, {"protocol", 255}}},
      {"/api/tables",
       {},
       "tables.list",
       {{"exact", false}}},
  };
  for (const auto& one : cases) {
    const auto question = ReadWebQuestion(Get(one.path, one.arguments));
    ASSERT_TRUE(question.ok()) << one.path << ": " << question.status();
    EXPECT_EQ(question->method, one.method);
    EXPECT_EQ(question->params, one.params) << one.path;
  }
}

TEST(WebQuestionTest, WhatIsWrongIsSaid) {
  const std::string long_text(1025, 'x');
  const struct {
    const char* path;
    Arguments arguments;
    const char* why;
  } cases[] = {
      {"/api/states", {{"limit", "201"}}, "limit: not a number from 1 to 200"},
      {"/api/states", {{"limit", "0"}}, "limit: not a number from 1 to 200"},
      {"/api/states", {{"limit", ""}}, "limit: not a number"},
      {"/api/states", {{"limit", "-1"}}, "limit: not a number"},
      {"/api/states", {{"limit", "1 "}}, "limit: not a number"},
      {"/api/states",
       {{"limit", "99999999999999999999"}},
       "limit: not a number"},
      {"/api/states", {{"port", "65536"}}, "port: not a number from 0 to 65535"},
      {"/api/states", {{"exact", "1"}}, "a parameter that states does not have"},
      {"/api/states", {{"cursor", "1"}}, "does not have"},
      {"/api/version", {{"filter", "a"}}, "does not have"},
      {"/api/info", {{"", ""}}, "does not have"},
      {"/api/info", {{"filter", "a"}, {"filter", "b"}}, "filter: it is there "
                                                        "twice"},
      {"/api/rules", {{"anchor", long_text}}, "anchor: more than 1024 bytes"},
      {"/api/rules", {{"anchor", std::string("a\0b", 3)}}, "a zero byte"},
  };
  for (const auto& one : cases) {
    const auto question = ReadWebQuestion(Get(one.path, one.arguments));
    EXPECT_EQ(question.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(question.status().message()), HasSubstr(one.why));
  }
  HttpRequest broken = Get("/api/info", {{"filter", ""}});
  broken.broken = true;
  EXPECT_THAT(std::string(ReadWebQuestion(broken).status().message()),
              HasSubstr("without a value"));
  EXPECT_THAT(std::string(ReadWebQuestion(
                              Get("/api/info", Arguments(17, {"a", "b"})))
                              .status()
                              .message()),
              HasSubstr("too many"));
  for (const char* path :
       {"/api/", "/api/Info", "/api/info/", "/api//info", "/api/../metrics",
        "/api/ruleset.flush", "/api/states.kill", "/api/info.show"}) {
    EXPECT_EQ(ReadWebQuestion(Get(path)).status().code(),
              absl::StatusCode::kNotFound)
        << path;
  }
}

// ---- Answers that are shared -----------------------------------------------

class CountingCaller final : public Caller {
 public:
  explicit CountingCaller(WebApi::Clock::time_point* now) : now_(*now) {}
  std::unique_ptr<json> Call(const std::string& method, json params,
                             CallError* error) override {
    asked.push_back(method);
    now_ += takes;
    if (code != 0) {
      error->code = code;
      error->message = "it is not so";
      return nullptr;
    }
    return std::make_unique<json>(
        json{{"params", params}, {"text", std::string(size, 'x')}});
  }

  std::vector<std::string> asked;
  int code = 0;
  size_t size = 1;
  milliseconds takes{0};

 private:
  WebApi::Clock::time_point& now_;
};

class WebApiTest : public testing::Test {
 protected:
  HttpAnswer Ask(WebApi& api, std::string_view path, Arguments more = {}) {
    return api.Answer(Get(path, std::move(more)));
  }
  WebApi Make(const WebApi::Limits& limits) {
    return WebApi(&caller_, limits, [this] { return now_; });
  }

  WebApi::Clock::time_point now_{seconds(1000)};
  CountingCaller caller_{&now_};
};

TEST_F(WebApiTest, EqualQuestionsShareAnAnswerForASecond) {
  WebApi api = Make({});
  const HttpAnswer first = Ask(api, "/api/info", {{"filter", "a"}});
  EXPECT_EQ(first.status, 200u);
  EXPECT_EQ(first.type, "application/json");
  const json body = json::parse(*first.body);
  EXPECT_EQ(body["answer"]["params"]["filter"], "a");
  EXPECT_GT(body["taken_ms"], 1'600'000'000'000);
  now_ += milliseconds(999);
  EXPECT_EQ(Ask(api, "/api/info", {{"filter", "a"}}).body, first.body);
  EXPECT_EQ(caller_.asked.size(), 1u);
  EXPECT_NE(Ask(api, "/api/info", {{"filter", "b"}}).body, first.body);
  EXPECT_EQ(caller_.asked.size(), 2u);
  now_ += milliseconds(1);
  EXPECT_NE(Ask(api, "/api/info", {{"filter", "a"}}).body, first.body);
  EXPECT_EQ(caller_.asked.size(), 3u);
}

// What takes long is asked less often, so that it is a tenth of the time.
TEST_F(WebApiTest, SlowAnswersAreKeptLonger) {
  WebApi api = Make({});
  caller_.takes = milliseconds(700);
  Ask(api, "/api/states");
  now_ += milliseconds(6999);
  Ask(api, "/api/states");
  EXPECT_EQ(caller_.asked.size(), 1u);
  now_ += milliseconds(1);
  caller_.takes = seconds(5);
  Ask(api, "/api/states");
  EXPECT_EQ(caller_.asked.size(), 2u);
  now_ += milliseconds(29'999);
  Ask(api, "/api/states");
  EXPECT_EQ(caller_.asked.size(), 2u);
  now_ += milliseconds(1);
  Ask(api, "/api/states");
  EXPECT_EQ(caller_.asked.size(), 3u);
}

TEST_F(WebApiTest, ThereAreOnlySoManyQuestionsASecond) {
  WebApi api = Make({.rate = 2, .burst = 3});
  int number = 0;
  const auto ask = [&] {
    return Ask(api, "/api/states", {{"port", std::to_string(++number)}});
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask().status, 200u);
  const HttpAnswer refused = ask();
  EXPECT_EQ(refused.status, 429u);
  EXPECT_THAT(refused.headers,
              Contains(Pair(StrEq("Retry-After"), StrEq("1"))));
  EXPECT_THAT(*refused.body, HasSubstr("too many different questions"));
  // What is known is answered all the same.
  EXPECT_EQ(Ask(api, "/api/states", {{"port", "1"}}).status, 200u);
  EXPECT_EQ(caller_.asked.size(), 3u);
  now_ += milliseconds(500);
  EXPECT_EQ(ask().status, 200u);
  EXPECT_EQ(ask().status, 429u);
  // A long rest does not save up more than a burst.
  now_ += seconds(3600);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask().status, 200u);
  EXPECT_EQ(ask().status, 429u);
}

TEST_F(WebApiTest, LargeAnswersAreRefusedAndOldOnesGo) {
  WebApi api = Make({.rate = 1000, .burst = 1000, .answer = 4096, .kept = 3,
                     .kept_bytes = 3000});
  caller_.size = 5000;
  const HttpAnswer large = Ask(api, "/api/tables");
  EXPECT_EQ(large.status, 503u);
  EXPECT_THAT(*large.body, HasSubstr("more than 4096"));
  const auto ask = [&](int port) {
    now_ += milliseconds(1);
    return Ask(api, "/api/states", {{"port", std::to_string(port)}});
  };
  // Three are kept,
  caller_.size = 1;
  for (int port = 1; port <= 4; ++port) ask(port);
  caller_.asked.clear();
  for (const int port : {2, 3, 4}) ask(port);
  EXPECT_TRUE(caller_.asked.empty());
  ask(1);
  EXPECT_EQ(caller_.asked.size(), 1u);
  // and of large ones two.
  caller_.size = 1200;
  for (const int port : {5, 6, 7}) ask(port);
  caller_.asked.clear();
  for (const int port : {6, 7}) ask(port);
  EXPECT_TRUE(caller_.asked.empty());
  ask(5);
  EXPECT_EQ(caller_.asked.size(), 1u);
}

// What is wrong with a question may be right the next moment; what the daemon
// cannot answer costs it as much as an answer, and is shared like one.
TEST_F(WebApiTest, ErrorsAreToldAndRefusalsShared) {
  WebApi api = Make({});
  const std::pair<int, unsigned> cases[] = {
      {-32006, 404}, {-32602, 400}, {-32007, 409}, {-32003, 503}, {-1, 503}};
  for (const auto& [code, status] : cases) {
    now_ += seconds(60);
    caller_.code = code;
    const HttpAnswer answer = Ask(api, "/api/info");
    EXPECT_EQ(answer.status, status) << code;
    EXPECT_EQ(json::parse(*answer.body)["error"]["message"], "it is not so");
    caller_.code = 0;
    EXPECT_EQ(Ask(api, "/api/info").status, status == 503 ? 503u : 200u);
    now_ += milliseconds(1000);
    EXPECT_EQ(Ask(api, "/api/info").status, 200u) << code;
  }
}

// ---- Who asks --------------------------------------------------------------

TEST(WebHostTest, IsAnAddressLocalhostOrConfigured) {
  const std::vector<std::string> names = {"fw.example.net"};
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:8469", "192.0.2.1:80", "[::1]", "[::1]:8469",
        "[2001:db8::1]:1", "localhost", "LOCALHOST:8469", "fw.example.net",
        "FW.example.net:8469"}) {
    EXPECT_TRUE(IsOwnHost(host, names)) << host;
  }
  for (const char* host :
       {"", ":8469", "evil.example", "evil.example:8469", "localhost.evil.net",
        "fw.example.net.evil.net", "127.0.0.1.evil.net", "127.0.0.1:",
        "127.0.0.1:84690000", "127.0.0.1:a", "127.0.0.1:1:2", "::1", "[::1",
        "[::1]a", "[::1]:", "[127.0.0.1]", "[evil]", "127.1", "2130706433",
        "0x7f000001", "localhost ", " localhost", "localhost,evil"}) {
    EXPECT_FALSE(IsOwnHost(host, names)) << host;
  }
}

class WebServerTest : public testing::Test {
 protected:
  WebApi::Clock::time_point now_{};
  CountingCaller caller_{&now_};
  WebServer server_{{.hosts = {"fw"}}, &caller_};
};

TEST_F(WebServerTest, AnswersGetAndHeadOfItsOwnHostsAlone) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", ""}) {
    HttpRequest request = Get("/api/info");
    request.method = method;
    const HttpAnswer answer = server_.Answer(request);
    EXPECT_EQ(answer.status, 405u) << method;
    EXPECT_THAT(answer.headers,
                Contains(Pair(StrEq("Allow"), StrEq("GET, HEAD"))));
  }
  HttpRequest request = Get("/");
  for (const std::vector<std::string>& hosts :
       std::vector<std::vector<std::string>>{
           {}, {"evil.example"}, {"fw", "evil.example"}, {"fw", "fw"}}) {
    request.hosts = hosts;
    for (const char* path : {"/", "/api/info", "/nothing"}) {
      request.path = path;
      const HttpAnswer answer = server_.Answer(request);
      EXPECT_EQ(answer.status, 421u);
      EXPECT_THAT(*answer.body, HasSubstr("`hosts` of [web]"));
    }
  }
  request.hosts = {"fw:80"};
  request.path = "/";
  EXPECT_EQ(server_.Answer(request).status, 200u);
  EXPECT_TRUE(caller_.asked.empty());
}

TEST_F(WebServerTest, OtherSitesPagesAskNothing) {
  HttpRequest request = Get("/api/info");
  for (const auto& [site, status] :
       {std::pair("cross-site", 403u), std::pair("same-site", 403u),
        std::pair("nonsense", 403u), std::pair("same-origin", 200u),
        std::pair("none", 200u)}) {
    request.fetch_sites = {site};
    EXPECT_EQ(server_.Answer(request).status, status) << site;
  }
  request.fetch_sites = {"same-origin", "cross-site"};
  EXPECT_EQ(server_.Answer(request).status, 403u);
  // A link to the page is none of that.
  request.fetch_sites = {"cross-site"};
  request.path = "/";
  EXPECT_EQ(server_.Answer(request).status, 200u);
}

TEST_F(WebServerTest, ThereIsOnePathAndNoFile) {
  for (const char* path :
       {"/index.html", "/../etc/passwd", "//", "/./", "/etc/passwd", "/metrics",
        "/favicon.ico", "", "*", "http://127.0.0.1/", "/api", "/%2e%2e/"}) {
    EXPECT_EQ(server_.Answer(Get(path)).status, 404u) << path;
  }
}

TEST_F(WebServerTest, EveryAnswerSaysWhatBrowsersMayDo) {
  HttpRequest wrong_host = Get("/");
  wrong_host.hosts = {"evil"};
  HttpRequest wrong_method = Get("/");
  wrong_method.method = "POST";
  for (const HttpRequest& request :
       {Get("/"), Get("/api/info"), Get("/api/no"), Get("/no"), wrong_host,
        wrong_method}) {
    const HttpAnswer answer = server_.Answer(request);
    for (const auto& [name, value] :
         {std::pair("Content-Security-Policy", kWebPolicy),
          std::pair("X-Content-Type-Options", "nosniff"),
          std::pair("X-Frame-Options", "DENY"),
          std::pair("Referrer-Policy", "no-referrer"),
          std::pair("Cross-Origin-Resource-Policy", "same-origin"),
          std::pair("Cross-Origin-Opener-Policy", "same-origin"),
          std::pair("Cache-Control", "no-store")}) {
      EXPECT_THAT(answer.headers, Contains(Pair(StrEq(name), StrEq(value))));
    }
    for (const auto& [name, value] : answer.headers) {
      EXPECT_THAT(std::string(name), Not(HasSubstr("Access-Control")));
    }
  }
}

// ---- The page --------------------------------------------------------------

std::string HashOf(std::string_view element) {
  const std::string start = "<" + std::string(element) + ">";
  const size_t from = kWebPage.find(start) + start.size();
  const size_t to = kWebPage.find("</" + std::string(element) + ">");
  unsigned char digest[32];
  unsigned size = 0;
  EVP_Digest(kWebPage.data() + from, to - from, digest, &size, EVP_sha256(),
             nullptr);
  unsigned char text[48];
  EVP_EncodeBlock(text, digest, 32);
  return "'sha256-" + std::string(reinterpret_cast<char*>(text)) + "'";
}

TEST(WebPageTest, ItsPolicyAllowsItsOwnStyleAndScriptAndNothingElse) {
  const std::string policy = kWebPolicy;
  EXPECT_THAT(policy, HasSubstr("default-src 'none';"));
  EXPECT_THAT(policy, HasSubstr("script-src " + HashOf("script") + ";"));
  EXPECT_THAT(policy, HasSubstr("style-src " + HashOf("style") + ";"));
  EXPECT_THAT(policy, HasSubstr("connect-src 'self';"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none';"));
  EXPECT_THAT(policy, HasSubstr("base-uri 'none';"));
  EXPECT_THAT(policy, HasSubstr("form-action 'none';"));
  for (const char* no : {"unsafe", "*", "http:", "https:"}) {
    EXPECT_THAT(policy, Not(HasSubstr(no)));
  }
}

TEST(WebPageTest, AsksNobodyElseAndMakesNoTextHtml) {
  const std::string page(kWebPage);
  EXPECT_LT(page.size(), size_t{64} << 10);
  for (const char* no :
       {"https:", "//cdn", "src=", "@import", "url(", "innerHTML", "outerHTML",
        "insertAdjacent", "document.write", "eval(", "new Function", "style=\"",
        "onclick=\"", "localStorage", "cookie"}) {
    EXPECT_THAT(page, Not(HasSubstr(no)));
  }
  // The one address that is no link is a name: that of SVG.
  for (size_t at = page.find("http:"); at != std::string::npos;
       at = page.find("http:", at + 1)) {
    EXPECT_EQ(page.substr(at, 26), "http://www.w3.org/2000/svg");
  }
}

}  // namespace
}  // namespace sluice
