#include "proxy/rate_limiter.h"

#include <algorithm>
#include <string_view>

#include "balance/hash_key.h"
#include "config/text.h"
#include "proxy/request_key.h"

namespace weir::proxy {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
// A client of IPv6 has this much of the address to itself, and can change the rest at will.
constexpr std::size_t kIpv6KeyBytes = 8;

}  // namespace

RateLimiter::RateLimiter(const config::RateLimit& settings, std::uint64_t salt)
    : settings_(settings),
      salt_(salt),
      rate_(settings.count, static_cast<std::uint64_t>(settings.per.count()) * kNsPerMs,
            settings.burst),
      header_(config::lower(settings.header)),
      table_(settings.key == config::RateLimit::Key::total ? 1 : settings.keys_max) {}

std::uint64_t RateLimiter::key_of(const os::Peer& client, const http::HeadParser* head) const {
  switch (settings_.key) {
    case config::RateLimit::Key::total: return salt_;
    case config::RateLimit::Key::header: {
      const auto value = head == nullptr ? std::nullopt : find_field(*head, header_);
      return balance::hash_key(value.value_or(std::string_view{}), salt_);
    }
    case config::RateLimit::Key::client: break;
  }
  const std::string_view address = address_bytes(client);
  return balance::hash_key(
      client.family == os::Peer::Family::ipv6 ? address.substr(0, kIpv6KeyBytes) : address, salt_);
}

std::optional<RateVerdict> RateLimiter::refuses(const os::Peer& client,
                                                const http::HeadParser* head,
                                                std::uint64_t now_ns) {
  return verdict(table_.charge(key_of(client, head), now_ns, rate_));
}

std::optional<RateVerdict> RateLimiter::would_refuse(const os::Peer& client,
                                                     const http::HeadParser* head,
                                                     std::uint64_t now_ns) {
  return verdict(table_.look(key_of(client, head), now_ns, rate_));
}

std::optional<RateVerdict> RateLimiter::verdict(std::uint64_t wait_ns) {
  if (wait_ns == 0) return std::nullopt;
  refused_.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t seconds = wait_ns / kNsPerSecond + (wait_ns % kNsPerSecond != 0 ? 1 : 0);
  constexpr std::uint64_t kDay = 86'400;
  return RateVerdict{static_cast<std::uint32_t>(std::min(seconds, kDay))};
}

}  // namespace weir::proxy
