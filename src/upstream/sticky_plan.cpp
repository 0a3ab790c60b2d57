#include "upstream/sticky_plan.h"

#include <sodium/crypto_auth_hmacsha256.h>

#include <array>

#include "balance/hash_key.h"

namespace weir::upstream {
namespace {

constexpr std::size_t kKeyedHashBytes = 16;  // Of HMAC-SHA-256: RFC 2104 section 5.

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string in_hex(std::span<const unsigned char> data) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : data) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string keyed_hash(std::string_view secret, std::string_view text) {
  crypto_auth_hmacsha256_state state;
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> mac{};
  crypto_auth_hmacsha256_init(&state, bytes(secret), secret.size());
  crypto_auth_hmacsha256_update(&state, bytes(text), text.size());
  crypto_auth_hmacsha256_final(&state, mac.data());
  return in_hex(std::span(mac).first<kKeyedHashBytes>());
}

std::string plain_hash(std::string_view text) {
  const std::uint64_t hash = balance::hash_key(text);
  std::array<unsigned char, sizeof(hash)> bytes_of_hash;
  for (std::size_t i = 0; i < sizeof(hash); ++i) {
    bytes_of_hash[i] = static_cast<unsigned char>(hash >> (56 - 8 * i));
  }
  return in_hex(bytes_of_hash);
}

std::string cookie_value(const config::Sticky& settings, const ServerState& server) {
  const std::string identity =
      server.backend() + '\n' + server.name() + '\n' + server.address_text();
  if (!settings.secret.empty()) return keyed_hash(settings.secret, identity);
  return plain_hash(identity);
}

}  // namespace

StickyPlan::StickyPlan(const config::Sticky& settings, std::span<ServerState* const> servers)
    : name_(settings.cookie) {
  std::string attributes = "; Path=/; HttpOnly; SameSite=Lax";
  if (settings.secure) attributes += "; Secure";
  if (settings.max_age) {
    attributes += "; Max-Age=" + std::to_string(settings.max_age->count() / 1000);
  }
  for (std::uint32_t i = 0; i < servers.size(); ++i) {
    const std::string value = cookie_value(settings, *servers[i]);
    by_value_.emplace(value, i);
    set_cookies_.push_back("Set-Cookie: " + name_ + "=" + value + attributes + "\r\n");
  }
}

std::optional<std::uint32_t> StickyPlan::server_of(std::string_view cookies) const {
  while (const std::optional<std::string_view> value = take_cookie(cookies, name_)) {
    const auto at = by_value_.find(std::string(*value));
    if (at != by_value_.end()) return at->second;
  }
  return std::nullopt;
}

std::optional<std::string_view> take_cookie(std::string_view& cookies, std::string_view name) {
  while (!cookies.empty()) {
    const std::size_t end = std::min(cookies.find(';'), cookies.size());
    const std::string_view pair = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    const std::size_t begin = std::min(pair.find_first_not_of(" \t"), pair.size());
    const std::string_view one = pair.substr(begin);
    if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=') {
      std::string_view value = one.substr(name.size() + 1);
      while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace weir::upstream
