#include "config/http_words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::size_t kMethodMax = 32;
constexpr std::size_t kTargetMax = 4096;
constexpr std::size_t kFieldNameMax = 256;
constexpr std::size_t kProtocolMax = 63;  // What an offer has room for, http/upgrade.h.
constexpr std::size_t kFieldValueMax = 4096;

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

constexpr auto kUsualMethods = std::to_array<std::string_view>(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"});

std::optional<std::uint16_t> parse_status(std::string_view text) {
  std::uint16_t value = 0;
  if (text.size() != 3 || !all_digits(text)) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value < 100 || value > 599) return std::nullopt;
  return value;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_path_text(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '%') {
      if (i + 2 >= path.size() || !is_hex(path[i + 1]) || !is_hex(path[i + 2])) return false;
    } else if (!is_alnum(c) &&
               std::string_view("-._~!$&'()*+,;=:@/").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

Result<std::string, Problem> parse_method(std::string_view text) {
  if (!is_token(text) || text.size() > kMethodMax) {
    return Err(Problem{in_backticks(text) + " is not a method", "write for example \"GET\""});
  }
  if (text == "*") {
    return Err(Problem{"`*` is not a method", "to match every method, leave `methods` out"});
  }
  // RFC 9110 9.1: methods are case-sensitive, so "get" would never match.
  for (std::string_view usual : kUsualMethods) {
    if (lower(text) == lower(usual) && text != usual) {
      return Err(Problem{"methods are case-sensitive", "write \"" + std::string(usual) + "\""});
    }
  }
  return std::string(text);
}

Result<std::string, Problem> parse_origin_form(std::string_view text) {
  if (!text.starts_with('/')) {
    const bool url = text.find("://") != std::string_view::npos;
    return Err(Problem{"the path " + in_backticks(text) + " does not start with `/`",
                       url ? "write the path alone, such as \"/healthz\""
                           : "write \"/" + std::string(trim(text)) + "\""});
  }
  const std::size_t query = text.find('?');
  std::string behind(query == std::string_view::npos ? "" : text.substr(query + 1));
  std::ranges::replace(behind, '?', '/');  // RFC 3986 3.4: a query may have it too.
  if (text.size() > kTargetMax || !is_path_text(text.substr(0, query)) || !is_path_text(behind)) {
    return Err(Problem{in_backticks(text) + " is not a path",
                       "write it as clients send it, with %XX for other characters, at most 4096"});
  }
  return std::string(text);
}

std::optional<StatusRange> parse_status_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_status(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_status(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return StatusRange{*first, *last};
}

Result<std::string, Problem> parse_field_name(std::string_view text) {
  if (is_token(text) && text.size() <= kFieldNameMax) return std::string(text);
  return Err(Problem{
      in_backticks(text) + " is not the name of a header field",
      text.ends_with(':') ? "write it without the colon" : "write for example \"X-Request-Key\""});
}

Result<std::string, Problem> parse_field_value(std::string_view text) {
  const bool plain = std::ranges::none_of(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7f';
  });
  if (!plain || text.size() > kFieldValueMax) {
    return Err(Problem{"the value has a control character, or more than 4096 bytes",
                       "write one line of text"});
  }
  if (trim(text) != text) {
    return Err(Problem{"the value begins or ends with a space", "remove it"});
  }
  return std::string(text);
}

Result<std::string, Problem> parse_upgrade(std::string_view text) {
  const std::string protocol = lower(text);
  const std::size_t slash = std::min(protocol.find('/'), protocol.size());
  const std::string_view name = std::string_view(protocol).substr(0, slash);
  const bool versioned = slash < protocol.size();
  if (text == "*") {
    return Err(Problem{"`*` would let clients switch to anything",
                       "name each protocol, for example \"websocket\""});
  }
  if (!is_token(name) || (versioned && !is_token(protocol.substr(slash + 1))) ||
      text.size() > kProtocolMax) {
    return Err(Problem{in_backticks(text) + " is not the name of a protocol",
                       "write for example \"websocket\""});
  }
  // RFC 9113 3.1 withdrew h2c; requests in such a tunnel get past every rule of the routes.
  if (name == "h2c" || name == "h2" || name == "http" || name == "tls") {
    return Err(Problem{in_backticks(text) + " would smuggle requests past every route and limit",
                       "remove it; upgrades are for other protocols than HTTP"});
  }
  return protocol;
}

Result<std::string, Problem> parse_cookie_name(std::string_view text) {
  if (is_token(text) && text.size() <= kFieldNameMax) return std::string(text);
  return Err(Problem{in_backticks(text) + " is not the name of a cookie",
                     "use letters, digits, `-` and `_`, for example \"weir\""});
}

Result<std::string, Problem> parse_query_name(std::string_view text) {
  const bool plain = !text.empty() && text.size() <= kFieldNameMax && is_path_text(text) &&
                     text.find_first_of("&=;") == std::string_view::npos;
  if (plain) return std::string(text);
  return Err(Problem{in_backticks(text) + " is not the name of a parameter",
                     "write it as clients send it, without `=` and `&`"});
}

}  // namespace weir::config
