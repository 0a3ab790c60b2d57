// The deadlines of one attempt and of the whole request.
#include "exchange_world.h"

namespace weir::proxy {
namespace {

using config::Milliseconds;
using test::kGet;
using test::kOk;

class ExchangeTimeouts : public test::ExchangeWorld {};

TEST_F(ExchangeTimeouts, ASilentServersRequestGoesToTheOther) {
  backend().retry.try_timeout = Milliseconds{30};
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& first = asked();
  first.peer->forget();
  Server& second = asked();
  EXPECT_NE(second.origin, first.origin);
  answer(second, kOk);
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(rig->server(first.origin).counters(0).answers_bad.read(), 1u);
  expect_nothing_left();
}

TEST_F(ExchangeTimeouts, AnAnswerThatHasBegunIsNotTriedAgain) {
  backend().retry.try_timeout = Milliseconds{30};
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& server = asked();
  answer(server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(rig->receives(*client, "\r\n\r\n"));
  const std::uint64_t later_ms = rig->worker().loop().now_ms() + 60;
  ASSERT_TRUE(rig->turn_until([&] { return rig->worker().loop().now_ms() > later_ms; }));
  EXPECT_TRUE(nobody_asked());
  server.peer->send("fine");
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
  expect_nothing_left();
}

TEST_F(ExchangeTimeouts, TheRequestsDeadlineEndsAllAttempts) {
  backend().request_timeout = Milliseconds{30};
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& server = asked();
  server.peer->forget();
  EXPECT_TRUE(rig->receives(*client, "request_timeout"));
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 504 ")) << client->received();
  EXPECT_TRUE(nobody_asked());
  EXPECT_EQ(rig->errors(ProxyError::request_timeout), 1u);
  EXPECT_EQ(rig->server(server.origin).counters(0).answers_bad.read(), 1u) << "it was silent";
  expect_nothing_left();
}

TEST_F(ExchangeTimeouts, TheRequestsDeadlineIsOverWhenTheAnswerBegins) {
  backend().request_timeout = Milliseconds{30};
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& server = asked();
  answer(server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi");
  ASSERT_TRUE(rig->receives(*client, "fi"));
  const std::uint64_t later_ms = rig->worker().loop().now_ms() + 60;
  ASSERT_TRUE(rig->turn_until([&] { return rig->worker().loop().now_ms() > later_ms; }));
  server.peer->send("ne");
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
}

// Otherwise any client could eject the servers it is sent to.
TEST_F(ExchangeTimeouts, ASlowUploadIsNotTheServersFault) {
  backend().request_timeout = Milliseconds{30};
  start();
  const auto client = rig->client();
  client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhal");
  Server& server = asked();
  ASSERT_TRUE(rig->receives(*server.peer, "hal"));
  EXPECT_TRUE(rig->receives(*client, "request_timeout"));
  EXPECT_EQ(rig->server(server.origin).counters(0).answers_bad.read(), 0u);
  EXPECT_EQ(rig->server(server.origin).passive.load(), 0u);
}

TEST_F(ExchangeTimeouts, TheRequestsDeadlineHoldsInTheQueue) {
  backend().limit = 1;
  backend().queue.timeout = Milliseconds{60'000};
  start();
  const auto first = rig->client();
  first->send(kGet);
  Server& server = asked();
  backend().request_timeout = Milliseconds{30};
  rig->publish(config);
  rig->settle();
  const auto second = rig->client();
  second->send(kGet);
  EXPECT_TRUE(rig->receives(*second, "request_timeout"));
  EXPECT_TRUE(second->received().starts_with("HTTP/1.1 504 ")) << second->received();
  EXPECT_EQ(gate().waiting(), 0u);
  answer(server, kOk);
  EXPECT_TRUE(answer_to(*first, "fine").starts_with("HTTP/1.1 200 "));
  expect_nothing_left();
}

}  // namespace
}  // namespace weir::proxy
