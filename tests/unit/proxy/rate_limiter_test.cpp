#include "proxy/rate_limiter.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

namespace weir::proxy {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kNow = 1'000 * kSecond;

os::Peer ipv4(std::uint8_t last, std::uint16_t port = 1) {
  return {.ip = {192, 0, 2, last}, .port = port, .family = os::Peer::Family::ipv4};
}

os::Peer ipv6(std::uint8_t network, std::uint8_t host) {
  os::Peer peer{.ip = {0x20, 0x01, 0x0d, 0xb8}, .family = os::Peer::Family::ipv6};
  peer.ip[7] = network;
  peer.ip[15] = host;
  return peer;
}

// A request head with these field lines.
class Head {
 public:
  explicit Head(const std::string& fields = "")
      : bytes_("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n") {
    parser_.begin(http::HeadParser::Mode::request, {});
    EXPECT_EQ(parser_.parse(bytes_.data(), bytes_.size()), http::ParseStatus::complete);
  }
  [[nodiscard]] const http::HeadParser* operator&() const { return &parser_; }

 private:
  std::string bytes_;
  http::HeadParser parser_;
};

config::RateLimit one_per_second(config::RateLimit::Key key = config::RateLimit::Key::client) {
  config::RateLimit settings;
  settings.name = "l";
  settings.key = key;
  settings.count = 1;
  settings.burst = 1;
  return settings;
}

bool allows(RateLimiter& limiter, const os::Peer& client, const http::HeadParser* head = nullptr,
            std::uint64_t now_ns = kNow) {
  return !limiter.refuses(client, head, now_ns);
}

TEST(RateLimiter, EveryClientHasItsOwn) {
  RateLimiter limiter(one_per_second(), 1);
  EXPECT_TRUE(allows(limiter, ipv4(1)));
  EXPECT_FALSE(allows(limiter, ipv4(1, 2))) << "the port is not the client";
  EXPECT_TRUE(allows(limiter, ipv4(2)));
  EXPECT_EQ(limiter.refused(), 1u);
  EXPECT_TRUE(allows(limiter, ipv4(1), nullptr, kNow + kSecond));
}

TEST(RateLimiter, AnIpv6ClientIsItsNetwork) {
  RateLimiter limiter(one_per_second(), 1);
  EXPECT_TRUE(allows(limiter, ipv6(1, 1)));
  EXPECT_FALSE(allows(limiter, ipv6(1, 200))) << "the same /64";
  EXPECT_TRUE(allows(limiter, ipv6(2, 1)));
}

TEST(RateLimiter, ClientsOfAUnixSocketAreOne) {
  RateLimiter limiter(one_per_second(), 1);
  EXPECT_TRUE(allows(limiter, {}));
  EXPECT_FALSE(allows(limiter, {}));
  EXPECT_TRUE(allows(limiter, ipv4(1)));
}

TEST(RateLimiter, AHeadersValueIsTheKey) {
  config::RateLimit settings = one_per_second(config::RateLimit::Key::header);
  settings.header = "x-key";
  RateLimiter limiter(settings, 1);
  const Head one("X-Key: one\r\n");
  const Head two("x-KEY: two\r\n");
  const Head none;
  const Head both("X-Key: one\r\nX-Key: three\r\n");
  EXPECT_TRUE(allows(limiter, ipv4(1), &one));
  EXPECT_FALSE(allows(limiter, ipv4(2), &one)) << "whoever sends it";
  EXPECT_TRUE(allows(limiter, ipv4(1), &two));
  EXPECT_FALSE(allows(limiter, ipv4(1), &both)) << "the first of the name counts";
  EXPECT_TRUE(allows(limiter, ipv4(1), &none));
  EXPECT_FALSE(allows(limiter, ipv4(2), &none)) << "requests without it share one key";
}

TEST(RateLimiter, InTotalMeansEverybody) {
  RateLimiter limiter(one_per_second(config::RateLimit::Key::total), 1);
  const Head head;
  EXPECT_TRUE(allows(limiter, ipv4(1), &head));
  EXPECT_FALSE(allows(limiter, ipv6(1, 1), &head));
  EXPECT_EQ(limiter.evicted(), 0u);
}

TEST(RateLimiter, ABurstIsAllowedAtOnceAndPaidForLater) {
  config::RateLimit settings = one_per_second();
  settings.count = 10;
  settings.burst = 5;
  RateLimiter limiter(settings, 1);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(allows(limiter, ipv4(1))) << i;
  EXPECT_FALSE(allows(limiter, ipv4(1)));
  EXPECT_FALSE(allows(limiter, ipv4(1), nullptr, kNow + kSecond / 10 - 1));
  EXPECT_TRUE(allows(limiter, ipv4(1), nullptr, kNow + kSecond / 10));
}

TEST(RateLimiter, RetryAfterIsRoundedUp) {
  const auto wait_s = [](config::Milliseconds per, std::uint64_t after_ns) {
    config::RateLimit settings = one_per_second();
    settings.per = per;
    RateLimiter limiter(settings, 1);
    EXPECT_TRUE(allows(limiter, ipv4(1)));
    const auto verdict = limiter.refuses(ipv4(1), nullptr, kNow + after_ns);
    return verdict ? verdict->retry_after_s : 0;
  };
  constexpr config::Milliseconds kTen{10'000};
  EXPECT_EQ(wait_s(kTen, 0), 10u);
  EXPECT_EQ(wait_s(kTen, 1), 10u);
  EXPECT_EQ(wait_s(kTen, kSecond), 9u);
  EXPECT_EQ(wait_s(kTen, 9 * kSecond + 1), 1u);
  EXPECT_EQ(wait_s(kTen, 10 * kSecond - 1), 1u) << "never 0: that would invite at once";
  EXPECT_EQ(wait_s(kTen, 10 * kSecond), 0u) << "allowed";
  EXPECT_EQ(wait_s(config::Milliseconds{1}, 0), 1u);
  EXPECT_EQ(wait_s(config::Milliseconds{30 * 86'400'000LL}, 0), 86'400u) << "a day at most";
}

TEST(RateLimiter, LimitersAreIndependent) {
  RateLimiter strict(one_per_second(), 1);
  RateLimiter other(one_per_second(), 1);
  EXPECT_TRUE(allows(strict, ipv4(1)));
  EXPECT_FALSE(allows(strict, ipv4(1)));
  EXPECT_TRUE(allows(other, ipv4(1)));
  EXPECT_EQ(other.refused(), 0u);
}

// A full table allows too much, and says so; it never refuses a client that used nothing.
TEST(RateLimiter, MoreKeysThanItHasRoomForAreAllowed) {
  config::RateLimit settings = one_per_second();
  settings.keys_max = 1;
  RateLimiter limiter(settings, 1);
  for (unsigned i = 0; i < 200; ++i) {
    EXPECT_TRUE(allows(limiter, ipv4(static_cast<std::uint8_t>(i))));
  }
  EXPECT_GT(limiter.evicted(), 0u);
}

// Who is over a limit does not use up another, whichever stands first.
TEST(RateLimiter, OfSeveralAllAreChargedOrNone) {
  for (const bool shared_first : {true, false}) {
    config::RateLimit wide = one_per_second(config::RateLimit::Key::total);
    wide.burst = 3;
    RateLimiter shared(wide, 1);
    RateLimiter own(one_per_second(), 1);
    std::array<RateLimiter*, 2> limits{&own, &shared};
    if (shared_first) std::swap(limits[0], limits[1]);
    const auto allowed = [&](const os::Peer& client) {
      return !refused_by_any(limits, client, nullptr, kNow);
    };
    EXPECT_TRUE(allowed(ipv4(1)));
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(allowed(ipv4(1)));
    EXPECT_EQ(own.refused(), 10u);
    EXPECT_TRUE(allowed(ipv4(2)));
    EXPECT_TRUE(allowed(ipv4(3)));
    EXPECT_FALSE(allowed(ipv4(4)));
    EXPECT_EQ(shared.refused(), 1u);
    EXPECT_TRUE(allows(own, ipv4(4))) << "what the shared one refused costs nothing here";
  }
}

}  // namespace
}  // namespace weir::proxy
