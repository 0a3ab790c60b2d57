// Limits as a client meets them: waiting for a slot, being refused, being told to slow down, and
// the cookie that keeps a client with its server.
#include "exchange_world.h"

namespace weir::proxy {
namespace {

using config::Milliseconds;
using test::kGet;
using test::kOk;
using test::Peer;

class ExchangeQueue : public test::ExchangeWorld {
 protected:
  ExchangeQueue() : ExchangeWorld(1) { backend().server_limit = 1; }

  // One request holds the only slot.
  void start_full() {
    start();
    holder = rig->client();
    holder->send(kGet);
    held = &asked();
    held->peer->forget();
  }
  [[nodiscard]] std::unique_ptr<Peer> waiting_client() {
    auto client = rig->client();
    client->send(kGet);
    EXPECT_TRUE(rig->turn_until([&] { return gate().waiting() == 1; }));
    return client;
  }
  void finish_holder() {
    answer(*held, kOk);
    EXPECT_TRUE(answer_to(*holder, "fine").starts_with("HTTP/1.1 200 "));
  }
  void expect_refused(Peer& client, std::string_view error) {
    ASSERT_TRUE(rig->receives(client, error));
    EXPECT_TRUE(client.received().starts_with("HTTP/1.1 503 ")) << client.received();
    EXPECT_TRUE(client.has("\r\nRetry-After: 1\r\n"));
  }

  std::unique_ptr<Peer> holder;
  Server* held = nullptr;
};

TEST_F(ExchangeQueue, WhoWaitsIsServedWhenASlotIsFree) {
  start_full();
  const auto client = waiting_client();
  EXPECT_TRUE(nobody_asked());
  EXPECT_EQ(rig->server().in_flight.load(), 1u);
  finish_holder();
  answer(asked(), kOk);
  EXPECT_TRUE(answer_to(*client, "fine").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(gate().counters().queued.read(), 1u);
  EXPECT_EQ(gate().counters().granted.read(), 1u);
  expect_nothing_left();
}

TEST_F(ExchangeQueue, AWaitHasAnEnd) {
  backend().queue.timeout = Milliseconds{20};
  start_full();
  const auto client = rig->client();
  client->send(kGet);
  expect_refused(*client, "queue_timeout");
  EXPECT_EQ(rig->errors(ProxyError::queue_timeout), 1u);
  EXPECT_EQ(gate().counters().timed_out.read(), 1u);
  finish_holder();
  expect_nothing_left();
}

TEST_F(ExchangeQueue, AFullQueueRefusesAtOnce) {
  backend().queue.size = 0;
  start_full();
  const auto client = rig->client();
  client->send(kGet);
  expect_refused(*client, "queue_full");
  finish_holder();
  expect_nothing_left();
}

TEST_F(ExchangeQueue, ABetterClassTakesThePlaceOfAWorse) {
  backend().queue.size = 1;
  backend().queue.priority_header = "X-Priority";
  start_full();
  const auto low = waiting_client();
  const auto high = rig->client();
  high->send("GET / HTTP/1.1\r\nHost: a\r\nX-Priority: 0\r\n\r\n");
  expect_refused(*low, "queue_full");
  finish_holder();
  answer(asked(), kOk);
  EXPECT_TRUE(answer_to(*high, "fine").starts_with("HTTP/1.1 200 "));
  expect_nothing_left();
}

TEST_F(ExchangeQueue, AClientThatLeavesTheQueueLeavesNothing) {
  start_full();
  const auto client = waiting_client();
  client->reset();
  ASSERT_TRUE(rig->turn_until([&] { return gate().waiting() == 0; }));
  EXPECT_EQ(gate().counters().abandoned.read(), 1u);
  finish_holder();
  EXPECT_TRUE(nobody_asked());
  expect_nothing_left();
}

// The slot is handed over in the moment in which the client has gone already.
TEST_F(ExchangeQueue, ASlotForAClientThatIsGoneGoesOn) {
  start_full();
  const auto gone = waiting_client();
  const auto next = rig->client();
  next->send(kGet);
  ASSERT_TRUE(rig->turn_until([&] { return gate().waiting() == 2; }));
  gone->reset();
  answer(*held, kOk);
  EXPECT_TRUE(rig->turn_until([&] {
    if (Server* server = find_asked()) answer(*server, kOk);
    return next->has("fine");
  }));
  expect_nothing_left();
}

// --- Rate limits ---------------------------------------------------------------------------------

TEST(ExchangeRate, BeyondItsRateAClientIsToldWhenToComeBack) {
  test::Origin origin;
  config::Config config = test::config_for({origin.port()});
  config::RateLimit& limit = config.limits.emplace_back();
  limit.name = "slow";
  limit.count = 1;
  limit.per = Milliseconds{1'000'000};
  limit.burst = 1;
  config.routes[0].limits = {"slow"};
  test::Rig rig(config);
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  server->send(kOk);
  ASSERT_TRUE(rig.receives(*client, "fine"));
  client->forget();
  server->forget();
  client->send(kGet);
  ASSERT_TRUE(rig.receives(*client, "rate_limited"));
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 429 ")) << client->received();
  const std::size_t at = client->received().find("\r\nRetry-After: ");
  ASSERT_NE(at, std::string::npos) << client->received();
  const int seconds = std::atoi(client->received().c_str() + at + 15);
  EXPECT_GT(seconds, 900);
  EXPECT_LE(seconds, 1'000);
  rig.settle();
  EXPECT_EQ(server->received(), "") << "the server is not bothered";
  EXPECT_EQ(rig.errors(ProxyError::rate_limited), 1u);
  EXPECT_FALSE(client->ended()) << "the connection may go on";
}

// --- Cookies -------------------------------------------------------------------------------------

class ExchangeSticky : public test::ExchangeWorld {
 protected:
  ExchangeSticky() : ExchangeWorld(3) { backend().sticky.cookie = "home"; }

  // One request with these cookies: who answered it, and with which Set-Cookie fields.
  struct Visit {
    std::size_t origin = 9;
    std::vector<std::string> set_cookies;
  };
  Visit visit(Peer& client, const std::string& cookies = "") {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n" + cookies + "\r\n");
    Server& server = asked();
    answer(server, "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nContent-Length: 4\r\n\r\nfine");
    const std::string received = answer_to(client, "fine");
    Visit visit{server.origin, {}};
    constexpr std::string_view kName = "\r\nSet-Cookie: home=";
    for (std::size_t at = 0; (at = received.find(kName, at)) != std::string::npos;) {
      at += kName.size();
      visit.set_cookies.push_back("home=" + received.substr(at, received.find(';', at) - at));
    }
    EXPECT_NE(received.find("\r\nSet-Cookie: own=1\r\n"), std::string::npos);
    return visit;
  }
};

TEST_F(ExchangeSticky, TheCookieIsSetOnceAndKeepsTheClientThere) {
  start();
  const auto client = rig->client();
  const Visit first = visit(*client);
  ASSERT_EQ(first.set_cookies.size(), 1u);
  const std::string cookie = "Cookie: theme=dark; " + first.set_cookies[0] + "\r\n";
  for (int i = 0; i < 6; ++i) {
    const Visit again = visit(*client, cookie);
    EXPECT_EQ(again.origin, first.origin);
    EXPECT_TRUE(again.set_cookies.empty());
  }
  expect_nothing_left();
}

TEST_F(ExchangeSticky, AnUnknownValueIsReplaced) {
  start();
  const auto client = rig->client();
  EXPECT_EQ(visit(*client, "Cookie: home=nobody\r\n").set_cookies.size(), 1u);
}

TEST_F(ExchangeSticky, ADrainingServerKeepsItsOwnAndADownOneLosesThem) {
  start();
  const auto client = rig->client();
  const Visit first = visit(*client);
  ASSERT_EQ(first.set_cookies.size(), 1u);
  const std::string cookie = "Cookie: " + first.set_cookies[0] + "\r\n";
  upstream::ServerState& server = rig->server(first.origin);
  server.administrative = static_cast<std::uint8_t>(health::Wish::drain);
  const Visit draining = visit(*client, cookie);
  EXPECT_EQ(draining.origin, first.origin);
  EXPECT_TRUE(draining.set_cookies.empty());
  server.active = static_cast<std::uint8_t>(health::Active::State::down);
  const Visit moved = visit(*client, cookie);
  EXPECT_NE(moved.origin, first.origin);
  ASSERT_EQ(moved.set_cookies.size(), 1u);
  EXPECT_NE(moved.set_cookies[0], first.set_cookies[0]);
}

}  // namespace
}  // namespace weir::proxy
