// Trying again: when, where, how often, and what the client gets in the end.
#include "exchange_world.h"

namespace weir::proxy {
namespace {

using test::kBusy;
using test::kGet;
using test::kOk;
using test::Peer;

class ExchangeRetry : public test::ExchangeWorld {
 protected:
  ExchangeRetry() { backend().retry.statuses = {503}; }
};

TEST_F(ExchangeRetry, AStatusOfTheListGoesToTheOtherServer) {
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& first = asked();
  answer(first, kBusy);
  Server& second = asked();
  EXPECT_NE(second.origin, first.origin);
  answer(second, kOk);
  const std::string received = answer_to(*client, "fine");
  EXPECT_TRUE(received.starts_with("HTTP/1.1 200 OK\r\n")) << received;
  EXPECT_EQ(received.find("busy"), std::string::npos);
  EXPECT_EQ(counters().retries_budgeted.read(), 1u);
  EXPECT_EQ(rig->server(first.origin).counters(0).answers_bad.read(), 1u);
  expect_nothing_left();
}

TEST_F(ExchangeRetry, OtherStatusesAreAnswers) {
  start();
  const auto client = rig->client();
  client->send(kGet);
  answer(asked(), "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
  EXPECT_TRUE(answer_to(*client, "oops").starts_with("HTTP/1.1 500 Oops\r\n"));
  expect_nothing_left();
}

// RFC 9110 9.2.2: the first server may have acted on it.
TEST_F(ExchangeRetry, APostIsNotRepeated) {
  start();
  const auto client = rig->client();
  client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  answer(asked(), kBusy);
  EXPECT_TRUE(answer_to(*client, "too busy!").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(nobody_asked());
  expect_nothing_left();
}

TEST_F(ExchangeRetry, TheLastServersAnswerIsRelayed) {
  start();
  const auto client = rig->client();
  client->send(kGet);
  answer(asked(), kBusy);
  answer(asked(), kBusy);
  EXPECT_TRUE(answer_to(*client, "too busy!").starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(rig->errors(ProxyError::upstream_status), 0u);
  expect_nothing_left();
}

TEST_F(ExchangeRetry, WithNobodyElseHealthyTheAnswerIsRelayed) {
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& first = asked();
  rig->server(1 - first.origin).active = static_cast<std::uint8_t>(health::Active::State::down);
  answer(first, kBusy);
  EXPECT_TRUE(answer_to(*client, "too busy!").starts_with("HTTP/1.1 503 "));
  expect_nothing_left();
}

TEST_F(ExchangeRetry, BeyondTheBudgetTheAnswerIsRelayed) {
  backend().retry.budget_percent = 0;
  start();
  const auto client = rig->client();
  client->send(kGet);
  answer(asked(), kBusy);
  EXPECT_TRUE(answer_to(*client, "too busy!").starts_with("HTTP/1.1 503 "));
  expect_nothing_left();
}

TEST_F(ExchangeRetry, WithoutRetriesEveryAnswerIsRelayed) {
  backend().retry.max = 0;
  start();
  const auto client = rig->client();
  client->send(kGet);
  answer(asked(), kBusy);
  EXPECT_TRUE(answer_to(*client, "too busy!").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(nobody_asked());
}

TEST_F(ExchangeRetry, ABrokenServersRequestGoesToTheOther) {
  start();
  const auto client = rig->client();
  client->send(kGet);
  Server& first = asked();
  first.peer->close();
  Server& second = asked();
  EXPECT_NE(second.origin, first.origin);
  answer(second, kOk);
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(counters().retries_budgeted.read(), 1u);
  expect_nothing_left();
}

TEST_F(ExchangeRetry, WithoutABudgetABrokenServerIsTheAnswer) {
  backend().retry.budget_percent = 0;
  start();
  const auto client = rig->client();
  client->send(kGet);
  asked().peer->close();
  EXPECT_TRUE(rig->receives(*client, "upstream_closed"));
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(counters().retry_budget_exhausted.read(), 1u);
  EXPECT_TRUE(nobody_asked());
  expect_nothing_left();
}

class ExchangeBackoff : public test::ExchangeWorld {
 protected:
  ExchangeBackoff() : ExchangeWorld(3) {}
  // Two servers break; the third attempt is to follow.
  void client_sends(Peer& client) {
    client.send(kGet);
    asked().peer->close();
    asked().peer->close();
  }
};

TEST_F(ExchangeBackoff, TheSecondRetryComesAfterAWhile) {
  backend().retry.backoff = backend().retry.backoff_max = config::Milliseconds{20};
  start();
  const auto client = rig->client();
  client_sends(*client);
  answer(asked(), kOk);
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(counters().retries_budgeted.read(), 2u);
  expect_nothing_left();
}

// The wait is shortened by half at most, so that only the request's own deadline can end it here.
TEST_F(ExchangeBackoff, AWaitEndsWithTheRequestsDeadline) {
  backend().retry.backoff = backend().retry.backoff_max = config::Milliseconds{3'600'000};
  backend().request_timeout = config::Milliseconds{100};
  start();
  const auto client = rig->client();
  client_sends(*client);
  EXPECT_TRUE(rig->receives(*client, "request_timeout"));
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 504 ")) << client->received();
  EXPECT_TRUE(nobody_asked());
  expect_nothing_left();
}

TEST_F(ExchangeBackoff, AClientThatLeavesMeanwhileLeavesNothing) {
  backend().retry.backoff = backend().retry.backoff_max = config::Milliseconds{3'600'000};
  start();
  const auto client = rig->client();
  client_sends(*client);
  ASSERT_TRUE(rig->turn_until([&] { return counters().retries_budgeted.read() == 2; }));
  client->reset();
  EXPECT_TRUE(rig->turn_until([&] { return counters().requests_in_flight.read() == 0; }));
  expect_nothing_left();
}

}  // namespace
}  // namespace weir::proxy
