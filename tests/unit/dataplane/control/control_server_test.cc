#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/control/socket/server.h"
#include "tests/unit/dataplane/control/control_test_client.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Answers "echo:LINE"; "later" is kept, "drop" is dropped, "silent" has no
// answer, "long N" is answered by N bytes.
class Echo : public MessageHandler {
 public:
  void OnMessage(Message message, Reply reply) override {
    messages.push_back(message.text);
    if (message.fd.valid()) ++descriptors;
    peer = message.peer;
    if (message.text == "later") {
      held.push_back(std::move(reply));
    } else if (message.text == "silent") {
      reply.Skip();
    } else if (message.text.starts_with("long ")) {
      reply.Send(std::string(std::stoul(message.text.substr(5)), 'x'));
    } else if (message.text != "drop") {
      reply.Send("echo:" + message.text);
    }
  }

  std::vector<std::string> messages;
  std::vector<Reply> held;
  int descriptors = 0;
  PeerCredentials peer;
};

class ControlServerTest : public testing::Test {
 protected:
  void Start(ServerLimits limits = {}) {
    options_.path = folder_.File("control.sock");
    auto server = ControlServer::Start(options_, limits, &echo_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Polls until the condition holds; gives up only on what never happens.
  bool Until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      server_->Poll(milliseconds(1));
    }
    return true;
  }

  std::string LineOf(TestClient& client) {
    std::optional<std::string> line;
    Until([&] {
      if (!line) line = client.Line();
      return line.has_value();
    });
    return line.value_or("(no line)");
  }

  TestFolder folder_;
  ListenerOptions options_;
  Echo echo_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, AnswersALine) {
  Start();
  TestClient client(options_.path);
  client.Send("hello\n");
  EXPECT_EQ(LineOf(client), "echo:hello");
  EXPECT_EQ(echo_.peer.pid, ::getpid());
  EXPECT_EQ(echo_.peer.uid, ::getuid());
}

TEST_F(ControlServerTest, JoinsWhatComesInPieces) {
  Start();
  TestClient client(options_.path);
  for (const char* piece : {"he", "l", "lo\nwor"}) {
    client.Send(piece);
    for (int i = 0; i < 3; ++i) server_->Poll(milliseconds(0));
  }
  EXPECT_EQ(LineOf(client), "echo:hello");
  EXPECT_EQ(echo_.messages.size(), 1u);
  client.Send("ld\n");
  EXPECT_EQ(LineOf(client), "echo:world");
}

TEST_F(ControlServerTest, SplitsWhatComesTogether) {
  Start();
  TestClient client(options_.path);
  std::string all;
  for (int i = 0; i < 100; ++i) all += std::to_string(i) + "\r\n\n";
  client.Send(all);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(LineOf(client), "echo:" + std::to_string(i));
  }
  EXPECT_EQ(echo_.messages.size(), 100u);
}

TEST_F(ControlServerTest, TakesAMessageOfTheLimitAndNoByteMore) {
  Start({.max_message = 100'000});
  TestClient fits(options_.path);
  const std::string limit(100'000, 'a');
  fits.Send(limit + "\n");
  EXPECT_EQ(LineOf(fits), "echo:" + limit);

  TestClient over(options_.path);
  over.Send(limit + "a\n");
  EXPECT_NE(LineOf(over).find("\"code\":-32001"), std::string::npos);
  EXPECT_TRUE(Until([&] { return over.Closed(); }));
  EXPECT_EQ(server_->counters().oversized, 1u);
  EXPECT_EQ(echo_.messages.size(), 1u);
}

TEST_F(ControlServerTest, RefusesAnEndlessMessageAtTheLimit) {
  Start({.max_message = 100'000});
  TestClient client(options_.path);
  size_t sent = 0;
  const std::string piece(10'000, 'a');
  ASSERT_TRUE(Until([&] {
    sent += client.Send(piece);
    return client.Closed() || client.Line().has_value();
  }));
  EXPECT_EQ(server_->counters().oversized, 1u);
  // What lies in the socket's own buffer comes on top.
  EXPECT_LT(sent, 1'000'000u);
  EXPECT_TRUE(echo_.messages.empty());
}

TEST_F(ControlServerTest, RefusesTheClientOverTheLimit) {
  Start({.max_clients = 64});
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<TestClient>(options_.path));
    ASSERT_TRUE(clients.back()->connected());
  }
  ASSERT_TRUE(Until([&] { return server_->client_count() == 64; }));
  TestClient extra(options_.path);
  EXPECT_NE(LineOf(extra).find("\"code\":-32002"), std::string::npos);
  EXPECT_TRUE(Until([&] { return extra.Closed(); }));
  EXPECT_EQ(server_->client_count(), 64u);
  // The others are served, and one that goes makes room.
  clients[63]->Send("still here\n");
  EXPECT_EQ(LineOf(*clients[63]), "echo:still here");
  clients[0].reset();
  ASSERT_TRUE(Until([&] { return server_->client_count() == 63; }));
  TestClient next(options_.path);
  next.Send("me too\n");
  EXPECT_EQ(LineOf(next), "echo:me too");
}

TEST_F(ControlServerTest, ASlowReaderCostsItsOwnAnswerOnly) {
  Start();
  TestClient slow(options_.path);
  std::string questions;
  for (int i = 0; i < 100; ++i) questions += "long 4000000\n";
  slow.Send(questions);
  TestClient quick(options_.path);
  quick.Send("hello\n");
  EXPECT_EQ(LineOf(quick), "echo:hello");
  for (int i = 0; i < 100; ++i) server_->Poll(milliseconds(0));
  // Beside "hello": the second question waits until the first answer is
  // fetched.
  EXPECT_EQ(echo_.messages.size(), 2u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(LineOf(slow).size(), 4'000'000u);
  }
}

TEST_F(ControlServerTest, OneMessageOfAClientIsInWork) {
  Start();
  TestClient client(options_.path);
  client.Send("later\nnext\n");
  ASSERT_TRUE(Until([&] { return !echo_.held.empty(); }));
  for (int i = 0; i < 20; ++i) server_->Poll(milliseconds(0));
  EXPECT_EQ(echo_.messages.size(), 1u);
  TestClient other(options_.path);
  other.Send("hello\n");
  EXPECT_EQ(LineOf(other), "echo:hello");
  echo_.held[0].Send("now");
  EXPECT_EQ(LineOf(client), "now");
  EXPECT_EQ(LineOf(client), "echo:next");
}

TEST_F(ControlServerTest, ADroppedReplyClosesAndASkippedOneDoesNot) {
  Start();
  TestClient client(options_.path);
  client.Send("silent\nhello\n");
  EXPECT_EQ(LineOf(client), "echo:hello");
  client.Send("drop\n");
  EXPECT_TRUE(Until([&] { return client.Closed(); }));
}

TEST_F(ControlServerTest, AHalfClosedClientGetsItsAnswers) {
  Start();
  TestClient client(options_.path);
  client.Send("later\nhello\npart of a mess");
  client.CloseWriting();
  ASSERT_TRUE(Until([&] { return !echo_.held.empty(); }));
  echo_.held[0].Send("now");
  EXPECT_EQ(LineOf(client), "now");
  EXPECT_EQ(LineOf(client), "echo:hello");
  EXPECT_TRUE(Until([&] { return client.Closed(); }));
  // What did not end is not carried out.
  EXPECT_EQ(echo_.messages.size(), 2u);
  EXPECT_EQ(server_->client_count(), 0u);
}

TEST_F(ControlServerTest, AClientMayDieAtAnyTime) {
  Start();
  {
    TestClient waiting(options_.path);
    waiting.Send("later\n");
    ASSERT_TRUE(Until([&] { return echo_.held.size() == 1; }));
  }
  {
    TestClient writing(options_.path);
    writing.Send("part of a mess");
    ASSERT_TRUE(Until([&] { return server_->counters().accepted == 2; }));
    server_->Poll(milliseconds(0));
  }
  {
    TestClient reading(options_.path);
    reading.Send("long 4000000\n");
    ASSERT_TRUE(Until([&] { return echo_.messages.size() == 2; }));
  }
  EXPECT_TRUE(Until([&] { return server_->client_count() == 0; }));
  // The answer to a client that is gone goes nowhere.
  echo_.held[0].Send("now");
  server_->Poll(milliseconds(0));
  TestClient next(options_.path);
  next.Send("hello\n");
  EXPECT_EQ(LineOf(next), "echo:hello");
}

TEST_F(ControlServerTest, AReplyMayOutliveTheServer) {
  Start();
  TestClient client(options_.path);
  client.Send("later\n");
  ASSERT_TRUE(Until([&] { return !echo_.held.empty(); }));
  server_.reset();
  echo_.held[0].Send("now");
  client.Receive();
  EXPECT_TRUE(client.Closed());
}

TEST_F(ControlServerTest, ClosesWhoIsIdle) {
  Start({.idle = milliseconds(20)});
  TestClient client(options_.path);
  EXPECT_TRUE(Until([&] { return client.Closed(); }));
  EXPECT_EQ(server_->counters().timed_out, 1u);
}

TEST_F(ControlServerTest, ClosesWhoDoesNotFinishItsMessage) {
  Start({.message = milliseconds(20)});
  TestClient client(options_.path);
  client.Send("half a mess");
  ASSERT_TRUE(Until([&] { return server_->client_count() == 1; }));
  // Dribbling does not help.
  EXPECT_TRUE(Until([&] {
    client.Send("a");
    return client.Closed();
  }));
  EXPECT_EQ(server_->counters().timed_out, 1u);
  EXPECT_TRUE(echo_.messages.empty());
}

TEST_F(ControlServerTest, ClosesWhoDoesNotFetchItsAnswer) {
  Start({.write = milliseconds(20)});
  TestClient client(options_.path);
  client.Send("long 4000000\n");
  EXPECT_TRUE(Until([&] { return server_->counters().timed_out == 1; }));
  EXPECT_EQ(server_->client_count(), 0u);
}

TEST_F(ControlServerTest, WaitsForAnAnswerWithoutALimit) {
  Start({.idle = milliseconds(10),
         .message = milliseconds(10),
         .write = milliseconds(10)});
  TestClient client(options_.path);
  client.Send("later\n");
  ASSERT_TRUE(Until([&] { return !echo_.held.empty(); }));
  for (int i = 0; i < 40; ++i) server_->Poll(milliseconds(1));
  echo_.held[0].Send("now");
  EXPECT_EQ(LineOf(client), "now");
}

TEST_F(ControlServerTest, GivesOneDescriptorWithAMessageAndClosesOthers) {
  Start();
  TestClient client(options_.path);
  UniqueFd passed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(client.SendWith("first ", passed.get()));
  ASSERT_TRUE(client.SendWith("message\n", passed.get()));
  EXPECT_EQ(LineOf(client), "echo:first message");
  EXPECT_EQ(echo_.descriptors, 1);
  EXPECT_EQ(server_->counters().descriptors_closed, 1u);
  client.Send("second\n");
  EXPECT_EQ(LineOf(client), "echo:second");
  EXPECT_EQ(echo_.descriptors, 1);
}

TEST_F(ControlServerTest, WatchesOtherDescriptors) {
  Start();
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  int called = 0;
  ASSERT_TRUE(server_
                  ->Watch(read_end.get(),
                          [&] {
                            char byte;
                            called += ::read(read_end.get(), &byte, 1) == 1;
                          })
                  .ok());
  server_->Poll(milliseconds(0));
  EXPECT_EQ(called, 0);
  ASSERT_EQ(::write(write_end.get(), "x", 1), 1);
  EXPECT_TRUE(Until([&] { return called == 1; }));
}

TEST_F(ControlServerTest, SetsTheModeAndRemovesTheSocket) {
  options_.mode = 0640;
  Start();
  struct stat status;
  ASSERT_EQ(::stat(options_.path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  server_.reset();
  EXPECT_NE(::stat(options_.path.c_str(), &status), 0);
}

TEST_F(ControlServerTest, RefusesASecondServerAndReplacesADeadOnesSocket) {
  Start();
  auto second = ControlServer::Start(options_, {}, &echo_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  // The first is not harmed by the attempt.
  TestClient client(options_.path);
  client.Send("hello\n");
  EXPECT_EQ(LineOf(client), "echo:hello");
  server_.reset();

  // A process that dies leaves its socket behind.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto dying = ControlServer::Start(options_, {}, &echo_);
    ::_exit(dying.ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::exists(options_.path));
  Start();
  TestClient next(options_.path);
  next.Send("hello\n");
  EXPECT_EQ(LineOf(next), "echo:hello");
}

TEST_F(ControlServerTest, NeverRemovesWhatIsNoSocket) {
  options_.path = folder_.File("precious");
  std::ofstream(options_.path) << "data";
  auto server = ControlServer::Start(options_, {}, &echo_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_regular_file(options_.path));
}

TEST_F(ControlServerTest, RefusesAServerOfAnotherProgramToo) {
  options_.path = folder_.File("control.sock");
  // Somebody who listens there without our lock.
  UniqueFd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, options_.path.c_str(),
               sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address),
            0);
  ASSERT_EQ(::listen(other.get(), 1), 0);
  auto server = ControlServer::Start(options_, {}, &echo_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(ControlServerTest, SaysWhatIsWrongWithItsOptions) {
  options_.path = folder_.File(std::string(200, 'x'));
  EXPECT_EQ(ControlServer::Start(options_, {}, &echo_).status().code(),
            absl::StatusCode::kInvalidArgument);
  options_.path = folder_.File("control.sock");
  options_.group = "no-such-group-here";
  const absl::Status status =
      ControlServer::Start(options_, {}, &echo_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("no-such-group-here"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace sluice
