// tidy: long because every test drives the one fixture, under each trigger.
#include "control/local_http.h"

#include <gmock/gmock.h>

#include <atomic>

#include "local_client.h"

namespace weir::control {
namespace {

using test::Answer;
using test::Client;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kBigBytes = 8 << 20;

// "/delay" waits, "/big" answers with kBigBytes, everything else with its own path and query.
void answer_test_request(const LocalRequest& request, LocalResponse& response) {
  response.body = std::string(request.path) + std::string(request.query);
  if (request.path == "/delay") response.delay_ms = 50;
  if (request.path == "/never") response.delay_ms = 3'600'000;
  if (request.path == "/big") {
    response.body.resize(kBigBytes);
    for (std::size_t i = 0; i < kBigBytes; ++i) {
      response.body[i] = static_cast<char>('a' + i * 7 % 26);
    }
  }
  if (request.path == "/fields") response.extra_fields = "X-Answer: 42\r\n";
}

class LocalHttp : public testing::TestWithParam<loop::Trigger> {
 protected:
  ~LocalHttp() override { thread_.stop(); }

  void serve(LocalHttpLimits limits = {}) {
    server_.emplace(
        thread_.loop, std::move(test::listen_anywhere().fd),
        [this](const LocalRequest& request, LocalResponse& response) {
          ++handled_;
          answer_test_request(request, response);
        },
        limits);
    port_ = server_->port();
    ASSERT_TRUE(server_->start());
    thread_.start();
  }
  [[nodiscard]] Client client(int receive_buffer = 0) { return Client(port_, receive_buffer); }

  // Waits until the server's own state fulfils `condition`.
  template <typename Condition>
  [[nodiscard]] bool eventually(Condition condition) {
    const std::uint64_t deadline_ns = os::monotonic_ns() + 10'000'000'000u;
    bool holds = false;
    while (!holds && os::monotonic_ns() < deadline_ns) {
      thread_.call([&] { holds = condition(); });
    }
    return holds;
  }
  [[nodiscard]] bool all_gone() {
    return eventually([this] { return server_->connections() == 0; });
  }

  test::LoopThread thread_{GetParam()};
  std::optional<LocalHttpServer> server_;
  std::uint16_t port_ = 0;
  std::atomic<int> handled_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Triggers, LocalHttp,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot),
                         [](const auto& tested) {
                           switch (tested.param) {
                             case loop::Trigger::edge: return "edge";
                             case loop::Trigger::level: return "level";
                             default: return "oneshot";
                           }
                         });

TEST_P(LocalHttp, AnswersGet) {
  serve();
  Client c = client();
  c.get("/hello?x=1");
  const Answer answer = c.answer();
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(answer.head, HasSubstr(" GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer.head, HasSubstr("\r\nContent-Length: 10\r\n"));
  EXPECT_FALSE(answer.has("Connection:"));
  EXPECT_EQ(answer.body, "/hello?x=1");
  EXPECT_EQ(server_->counters().requests.read(), 1u);
}

TEST_P(LocalHttp, PassesTheHandlersFields) {
  serve();
  Client c = client();
  c.get("/fields");
  EXPECT_TRUE(c.answer().has("\r\nX-Answer: 42\r\n"));
}

TEST_P(LocalHttp, AnswersHeadWithoutBody) {
  serve();
  Client c = client();
  c.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  const Answer head = c.answer(true);
  EXPECT_EQ(head.status(), 200);
  EXPECT_TRUE(head.has("\r\nContent-Length: 6\r\n"));
  EXPECT_EQ(c.answer().body, "/next");
}

TEST_P(LocalHttp, ABrokenRequestAfterHeadGetsItsBody) {
  serve();
  Client c = client();
  c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n");
  EXPECT_EQ(c.answer(true).status(), 200);
  EXPECT_THAT(c.answer().body, StartsWith("400 Bad Request\n"));
}

TEST_P(LocalHttp, RefusesOtherMethods) {
  serve();
  Client c = client();
  for (const char* method : {"PUT", "DELETE", "OPTIONS", "get", "BREW"}) {
    c.send(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n");
    const Answer answer = c.answer();
    EXPECT_EQ(answer.status(), 405) << method;
    EXPECT_TRUE(answer.has("\r\nAllow: GET, HEAD\r\n")) << method;
    EXPECT_FALSE(answer.has("Connection:")) << method;
  }
  c.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.answer().status(), 405);
  c.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
  EXPECT_TRUE(c.answer().has("\r\nAllow: GET, HEAD\r\n"));
  EXPECT_EQ(handled_, 0);
}

TEST_P(LocalHttp, RefusesBodiesAndTheAnswerArrives) {
  serve();
  const std::string body(300'000, 'x');
  const std::string length = "Content-Length: 300000\r\n";
  for (const auto& [request, status] : {
           std::pair{"GET / HTTP/1.1\r\nHost: a\r\n" + length, 413},
           std::pair{"POST / HTTP/1.1\r\nHost: a\r\n" + length, 405},
           std::pair{"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + length, 413},
           std::pair{std::string("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"),
                     413},
       }) {
    Client c = client();
    c.send(request + "\r\n" + body);
    const Answer answer = c.answer();
    EXPECT_EQ(answer.status(), status) << request;
    EXPECT_TRUE(answer.has("\r\nConnection: close\r\n")) << request;
    c.finish_sending();
    EXPECT_EQ(c.end(), Client::End::closed) << request;
  }
  EXPECT_EQ(handled_, 0);
}

TEST_P(LocalHttp, AnEmptyBodyIsNone) {
  serve();
  Client c = client();
  c.send("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(c.answer().body, "/a");
}

TEST_P(LocalHttp, KeepsPipelinedAnswersInOrder) {
  serve();
  Client c = client();
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    requests += "GET /" + std::string(i % 50 == 7 ? "delay" : "now") + "?" + std::to_string(i) +
                " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  c.send(requests);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(c.answer().body,
              std::string(i % 50 == 7 ? "/delay" : "/now") + "?" + std::to_string(i));
  }
}

TEST_P(LocalHttp, TakesAHeadByteByByte) {
  serve();
  Client c = client();
  for (const char byte : std::string("\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n")) {
    c.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(c.answer().body, "/slow");
}

TEST_P(LocalHttp, SpeaksHttp10) {
  serve();
  Client once = client();
  once.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(once.answer().has("\r\nConnection: close\r\n"));
  EXPECT_EQ(once.end(), Client::End::closed);
  Client again = client();
  for (int i = 0; i < 3; ++i) {
    again.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_TRUE(again.answer().has("\r\nConnection: keep-alive\r\n"));
  }
}

// RFC 9112 9.6: nothing after a close is processed.
TEST_P(LocalHttp, HonoursClose) {
  serve();
  Client c = client();
  c.send(
      "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.answer().body, "/a");
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_EQ(c.left(), "");
  EXPECT_EQ(handled_, 1);
}

// RFC 9112 9.6: what the client still sends is read until it has closed its side as well, because
// unread bytes would turn the close into a reset.
TEST_P(LocalHttp, ClosesInStages) {
  serve();
  Client c = client();
  c.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(c.answer().body, "/a");
  EXPECT_EQ(c.end(), Client::End::closed);
  c.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(
      eventually([this] { return server_->counters().traffic.own.bytes_received.read() > 70; }));
  std::size_t connections = 0;
  thread_.call([&] { connections = server_->connections(); });
  EXPECT_EQ(connections, 1u);
  c.finish_sending();
  EXPECT_TRUE(all_gone());
}

TEST_P(LocalHttp, RefusesWhatIsNoHttp) {
  serve();
  const std::string line(9'000, 'a');
  const std::string big(17'000, 'a');
  for (const auto& [request, status] : {
           std::pair{std::string("\x16\x03\x01 hello"), 400},
           std::pair{std::string("GET / HTTP/1.1\nHost: a\n\n"), 400},
           std::pair{std::string("GET / HTTP/1.1\r\n\r\n"), 400},
           std::pair{std::string("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400},
           std::pair{std::string("GET / HTTP/2.0\r\n"), 505},
           std::pair{"GET /" + line + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
           std::pair{"GET / HTTP/1.1\r\nHost: a\r\nX: " + big + "\r\n\r\n", 431},
           std::pair{std::string("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n"),
                     400},
       }) {
    Client c = client();
    c.send(request);
    const Answer answer = c.answer();
    EXPECT_EQ(answer.status(), status) << request.substr(0, 60);
    EXPECT_TRUE(answer.has("\r\nConnection: close\r\n")) << request.substr(0, 60);
    EXPECT_EQ(c.end(), Client::End::closed) << request.substr(0, 60);
  }
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(server_->counters().refused.read(), 8u);
}

TEST_P(LocalHttp, ADelayHoldsNobodyElseBack) {
  serve();
  Client slow = client();
  Client fast = client();
  slow.get("/never");
  ASSERT_TRUE(eventually([this] { return handled_ == 1; }));
  fast.get("/a");
  EXPECT_EQ(fast.answer().body, "/a");
}

TEST_P(LocalHttp, AnswersAfterAHalfClose) {
  serve();
  Client c = client();
  c.get("/delay");
  c.finish_sending();
  EXPECT_EQ(c.answer().body, "/delay");
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_TRUE(all_gone());
}

TEST_P(LocalHttp, AHalfHeadAndTheEndIsNoRequest) {
  serve();
  Client c = client();
  c.send("GET / HTTP/1.1\r\nHo");
  c.finish_sending();
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_EQ(c.left(), "");
  EXPECT_TRUE(all_gone());
}

TEST_P(LocalHttp, ForgetsAClientThatIsGone) {
  serve();
  Client c = client();
  c.get("/never");
  ASSERT_TRUE(eventually([this] { return handled_ == 1; }));
  c.reset();
  EXPECT_TRUE(all_gone());
}

TEST_P(LocalHttp, LargeAnswersWaitForASlowReader) {
  serve();
  Client c = client(4096);
  c.get("/big");
  c.get("/after");
  LocalResponse expected;
  answer_test_request({http::MethodId::get, "/big", ""}, expected);
  EXPECT_TRUE(c.answer().body == expected.body);
  EXPECT_EQ(c.answer().body, "/after");
}

TEST_P(LocalHttp, CutsAnAnswerNobodyTakes) {
  serve({.answer_timeout_ms = 30});
  Client c = client(4096);
  c.get("/big");
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(server_->counters().answers_cut.read(), 1u);
  EXPECT_LT(c.answer().body.size(), kBigBytes);
  EXPECT_EQ(c.end(), Client::End::reset);
}

TEST_P(LocalHttp, BoundsTheMemoryOfAnswers) {
  serve({.answer_bytes_max = kBigBytes});
  Client hog = client(4096);
  hog.get("/big");
  ASSERT_TRUE(eventually([this] { return handled_ == 1; }));
  Client c = client();
  c.get("/a");
  const Answer refused = c.answer();
  EXPECT_EQ(refused.status(), 503);
  EXPECT_TRUE(refused.has("\r\nRetry-After: 1\r\n"));
  EXPECT_EQ(server_->counters().answers_max_hit.read(), 1u);
  hog.reset();
  ASSERT_TRUE(eventually([this] { return server_->connections() == 1; }));
  c.get("/a");
  EXPECT_EQ(c.answer().body, "/a");
}

TEST_P(LocalHttp, ASlowHeadIsToldSo) {
  serve({.head_timeout_ms = 30});
  Client c = client();
  c.send("GET / HTTP/1.1\r\nHost");
  const Answer answer = c.answer();
  EXPECT_EQ(answer.status(), 408);
  EXPECT_TRUE(answer.has("\r\nConnection: close\r\n"));
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_EQ(server_->counters().refused.read(), 1u);
}

TEST_P(LocalHttp, SilenceAndEmptyLinesAreNotAnswered) {
  serve({.head_timeout_ms = 30});
  Client silent = client();
  Client lines = client();
  lines.send("\r\n\r\n");
  for (Client* c : {&silent, &lines}) {
    EXPECT_EQ(c->end(), Client::End::closed);
    EXPECT_EQ(c->left(), "");
  }
}

TEST_P(LocalHttp, ClosesIdleConnections) {
  serve({.idle_timeout_ms = 30});
  Client c = client();
  c.get("/a");
  EXPECT_EQ(c.answer().body, "/a");
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_EQ(c.left(), "");
}

TEST_P(LocalHttp, DoesNotLingerForEver) {
  serve({.linger_timeout_ms = 30});
  Client c = client();
  c.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(c.answer().body, "/a");
  EXPECT_TRUE(all_gone());  // Though the client has not closed its side.
}

TEST_P(LocalHttp, AtTheLimitOthersWait) {
  serve({.connections_max = 2});
  Client first = client();
  Client second = client();
  first.get("/never");
  second.get("/never");
  ASSERT_TRUE(eventually([this] { return handled_ == 2; }));
  Client third = client();
  third.get("/a");
  ASSERT_TRUE(
      eventually([this] { return server_->counters().listener.connections_max_hit.read() > 0; }));
  EXPECT_EQ(handled_, 2);
  second.reset();
  EXPECT_EQ(third.answer().body, "/a");
}

TEST_P(LocalHttp, AtTheLimitIdleClientsMakeRoom) {
  serve({.connections_max = 2});
  Client first = client();
  Client second = client();
  for (Client* c : {&first, &second}) {
    c->get("/a");
    EXPECT_EQ(c->answer().body, "/a");
  }
  ASSERT_TRUE(eventually([this] { return server_->connections() == 2; }));
  Client third = client();
  third.get("/b");
  EXPECT_EQ(third.answer().body, "/b");
  EXPECT_EQ(first.end(), Client::End::closed);
  second.get("/c");
  EXPECT_EQ(second.answer().body, "/c");
}

TEST_P(LocalHttp, AtTheLimitHalfHeadsMakeRoom) {
  serve({.connections_max = 3});
  Client answered = client();
  answered.get("/never");
  ASSERT_TRUE(eventually([this] { return handled_ == 1; }));
  Client half = client();
  ASSERT_TRUE(eventually([this] { return server_->connections() == 2; }));
  Client silent = client();
  ASSERT_TRUE(eventually([this] { return server_->connections() == 3; }));
  half.send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(
      eventually([this] { return server_->counters().traffic.own.bytes_received.read() == 48; }));
  Client third = client();
  third.get("/b");
  EXPECT_EQ(third.answer().body, "/b");
  EXPECT_EQ(half.end(), Client::End::closed) << "a piece of a head renews nothing";
  EXPECT_EQ(half.left(), "");
  Client fourth = client();
  fourth.get("/c");
  EXPECT_EQ(fourth.answer().body, "/c");
  EXPECT_EQ(silent.end(), Client::End::closed);
  third.get("/d");
  EXPECT_EQ(third.answer().body, "/d");
  std::size_t connections = 0;
  thread_.call([&] { connections = server_->connections(); });
  EXPECT_EQ(connections, 3u) << "a request that waits for its answer makes no room";
}

TEST_P(LocalHttp, AtTheLimitWhoLingersMakesRoom) {
  serve({.connections_max = 1, .linger_timeout_ms = 3'600'000});
  Client lingering = client();
  lingering.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(lingering.answer().body, "/a");
  Client next = client();
  next.get("/b");
  EXPECT_EQ(next.answer().body, "/b");
}

TEST_P(LocalHttp, DrainsWithoutLosingAnswers) {
  serve();
  Client idle = client();
  idle.get("/a");
  EXPECT_EQ(idle.answer().body, "/a");
  Client busy = client();
  busy.get("/delay");
  ASSERT_TRUE(eventually([this] { return handled_ == 2; }));
  thread_.call([this] {
    server_->drain();
    server_->drain();  // Repeating it does nothing.
  });
  EXPECT_EQ(idle.end(), Client::End::closed);
  const Answer last = busy.answer();
  EXPECT_EQ(last.body, "/delay");
  EXPECT_TRUE(last.has("\r\nConnection: close\r\n"));
  EXPECT_EQ(busy.end(), Client::End::closed);
  EXPECT_FALSE(client().connected());
  busy.reset();
  EXPECT_TRUE(eventually([this] { return server_->drained(); }));
}

TEST_P(LocalHttp, AFreshConnectionMayStillAskWhileDraining) {
  serve({.drain_timeout_ms = 60'000});
  Client c = client();
  ASSERT_TRUE(eventually([this] { return server_->connections() == 1; }));
  thread_.call([this] { server_->drain(); });
  c.get("/a");
  const Answer answer = c.answer();
  EXPECT_EQ(answer.body, "/a");
  EXPECT_TRUE(answer.has("\r\nConnection: close\r\n"));
}

TEST_P(LocalHttp, AFreshConnectionDoesNotHoldUpTheDrain) {
  serve({.head_timeout_ms = 3'600'000, .drain_timeout_ms = 30});
  Client c = client();
  ASSERT_TRUE(eventually([this] { return server_->connections() == 1; }));
  thread_.call([this] { server_->drain(); });
  EXPECT_EQ(c.end(), Client::End::closed);
  EXPECT_TRUE(eventually([this] { return server_->drained(); }));
}

// Draining at the connection limit: a closed connection must not wake the closed listener.
TEST_P(LocalHttp, DrainsAtTheLimit) {
  serve({.connections_max = 1});
  Client c = client();
  c.get("/delay");
  Client waiting = client();
  ASSERT_TRUE(
      eventually([this] { return server_->counters().listener.connections_max_hit.read() > 0; }));
  thread_.call([this] { server_->drain(); });
  EXPECT_EQ(c.answer().body, "/delay");
  c.reset();
  EXPECT_TRUE(eventually([this] { return server_->drained(); }));
}

TEST_P(LocalHttp, IsDestroyedInTheMiddleOfEverything) {
  serve();
  Client waiting = client();
  Client partly = client();
  Client delayed = client();
  Client answering = client(4096);
  Client lingering = client();
  partly.send("GET / HT");
  delayed.get("/never");
  answering.get("/big");
  lingering.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(lingering.answer().status(), 200);
  ASSERT_TRUE(eventually([this] { return server_->connections() == 5 && handled_ == 3; }));
  thread_.call([this] { server_.reset(); });
  std::size_t watched = 0;
  thread_.call([&] { watched = thread_.loop.watched(); });  // The loop goes on without it.
  EXPECT_EQ(watched, 0u);
  for (Client* c : {&waiting, &delayed, &lingering}) EXPECT_NE(c->end(), Client::End::alive);
}

TEST(LocalConnection, OnlyRetiresOutOfClosed) {
  for (std::size_t i = 0; i < kLocalConnectionNext.size(); ++i) {
    const auto state = static_cast<LocalConnection::State>(i);
    EXPECT_STRNE(to_string(state), "?");
    EXPECT_EQ(kLocalConnectionNext[i].back(), state != LocalConnection::State::closed);
    EXPECT_FALSE(kLocalConnectionNext[i][i]) << to_string(state);
  }
}

}  // namespace
}  // namespace weir::control
