#include "config/match_rules.h"

#include <algorithm>

#include "config/endpoint.h"
#include "config/http_words.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::size_t kHostMax = 253;   // RFC 1035 2.3.4, as text.
constexpr std::size_t kLabelMax = 63;   // RFC 1035 2.3.4.
constexpr std::size_t kPathMax = 4096;  // Far above any prefix people route by.

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelMax &&
         std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_host_name(std::string_view name) {
  if (name.size() > kHostMax) return false;
  while (true) {
    const std::size_t dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

// What else people write where a host name should stand.
Problem bad_host_pattern(std::string_view text) {
  const std::string what = in_backticks(text) + " is not a host name";
  const auto write = [](std::string_view host) { return "write \"" + std::string(host) + "\""; };
  if (text == "*" || text == "*." || text == "_")
    return {what, "to match every host, leave `host` out"};
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    return {what, "write the name alone, without " + std::string(text.substr(0, scheme)) + "://"};
  }
  if (text.find('/') != std::string_view::npos) {
    return {what, "the path has a key of its own: path = \"/...\""};
  }
  if (text.find_first_of("~^$(|\\") != std::string_view::npos) {
    return {what, "there are no regular expressions; use \"name\" or \"*.suffix\""};
  }
  if (text.starts_with('[')) return {what, "write an IPv6 address as \"[::1]\""};
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (parse_network(text)) return {what, "write \"[" + std::string(text) + "]\""};
    return {"the port is not part of a host name", write(text.substr(0, colon))};
  }
  if (text.starts_with('.')) return {what, write("*" + std::string(text))};
  if (text.ends_with('.')) return {what, write(text.substr(0, text.size() - 1))};
  if (text.find('*') != std::string_view::npos) {
    return {what, "`*` stands only at the start: \"*.example.com\""};
  }
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    return {what, "write the xn-- form that clients send (RFC 5891)"};
  }
  return {what, "write for example \"example.com\""};
}

bool has_dot_segment(std::string_view path) {
  const std::string closed = std::string(path) + "/";
  return closed.find("/./") != std::string::npos || closed.find("/../") != std::string::npos;
}

}  // namespace

Result<std::string, Problem> parse_host_pattern(std::string_view text) {
  if (text.empty()) {
    return Err(Problem{"the host is empty", "to match every host, leave `host` out"});
  }
  const std::string host = lower(text);
  const std::string_view name = std::string_view(host).substr(host.starts_with("*.") ? 2 : 0);
  if (is_host_name(name)) return host;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const auto inside = std::string_view(host).substr(bracketed ? 1 : 0);
  if (bracketed && inside.find('/') == std::string_view::npos &&
      parse_network(inside.substr(0, inside.size() - 1))) {
    return host;
  }
  return Err(bad_host_pattern(text));
}

Result<std::string, Problem> parse_path_pattern(std::string_view text) {
  const std::string_view path = text.substr(text.starts_with('=') ? 1 : 0);
  const auto write = [](std::string_view fixed) { return "write \"" + std::string(fixed) + "\""; };
  if (text.starts_with('~') || text.starts_with('^')) {
    return Err(Problem{"there are no regular expressions in paths",
                       "write a prefix such as \"/api\", or \"=/exact\""});
  }
  if (!path.starts_with('/')) {
    const std::string start = path.size() < text.size() ? "=" : "";
    const std::string_view rest = trim(path);
    return Err(Problem{"the path " + in_backticks(text) + " does not start with `/`",
                       write(start + (rest.starts_with('/') ? "" : "/") + std::string(rest))});
  }
  if (text.ends_with('*') && path.size() == text.size()) {
    const std::string_view prefix = text.substr(0, text.find_last_not_of("/*") + 1);
    return Err(
        Problem{"a path is a prefix already, without `*`", write(prefix.empty() ? "/" : prefix)});
  }
  if (path.find_first_of("?#") != std::string_view::npos) {
    return Err(Problem{"a query is not part of " + in_backticks("path"),
                       write(text.substr(0, text.find_first_of("?#")))});
  }
  if (path.size() > kPathMax) {
    return Err(Problem{"the path has more than 4096 bytes", "use a shorter prefix"});
  }
  if (!is_path_text(path)) {
    return Err(Problem{in_backticks(text) + " is not a path",
                       "write it as clients send it, with %XX for other characters"});
  }
  if (has_dot_segment(path)) {
    return Err(Problem{"the path " + in_backticks(text) + " has a `.` or `..` segment",
                       "write the path without it; clients resolve them before sending"});
  }
  return std::string(text);
}

Result<std::string, Problem> parse_sni_pattern(std::string_view text) {
  const std::string what = in_backticks(text) + " is not a server name";
  if (text.empty() || text == "*" || text == "*.") {
    return Err(Problem{text.empty() ? "the server name is empty" : what,
                       "for every connection write backend = \"NAME\" in the [listener.NAME]"});
  }
  if (text.starts_with('[') || parse_network(text)) {
    return Err(Problem{what, "TLS clients name hosts, never addresses; remove it"});
  }
  return parse_host_pattern(text);
}

Result<std::string, Problem> parse_connect_target(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.find(']', colon) == text.npos;
  if (text.find('*') != std::string_view::npos) {
    return Err(Problem{in_backticks(text) + " would open a tunnel to anywhere",
                       "name each target, for example \"db.example:5432\""});
  }
  if (!has_port || colon == 0) {
    return Err(Problem{in_backticks(text) + (has_port ? " has no host" : " has no port"),
                       "write for example \"db.example:5432\" or \"[::1]:22\""});
  }
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return Err(port.error());
  // A literal gets its one spelling; a name is compared as it is.
  const bool literal = text.starts_with('[') || parse_network(text.substr(0, colon));
  if (literal) {
    const auto endpoint = parse_endpoint(text, Use::server);
    if (!endpoint) return Err(endpoint.error());
    // A server's address: its IPv4 node. Here it stays what was written, which no IPv4 target is.
    const bool mapped = text.starts_with('[') && endpoint->family == Endpoint::Family::ipv4;
    return mapped ? "[::ffff:" + endpoint->host + "]:" + std::to_string(*port) : endpoint->text();
  }
  auto host = parse_host_pattern(text.substr(0, colon));
  if (!host) return host;
  return *host + ":" + std::to_string(*port);
}

bool Route::serves(const Listener& listener) const {
  const auto mode = sni.empty() ? ListenerMode::http : ListenerMode::tcp;
  return listener.mode == mode &&
         (listeners.empty() || std::ranges::find(listeners, listener.name) != listeners.end());
}

bool host_covers(std::string_view outer, std::string_view inner) {
  if (outer == inner) return true;
  // "*.a.com" ends in ".a.com"; what it matches ends so and is longer.
  return outer.starts_with("*.") && inner.size() > outer.size() - 1 &&
         inner.ends_with(outer.substr(1));
}

bool path_covers(std::string_view outer, std::string_view inner) {
  if (outer.starts_with('=')) return outer == inner;
  if (inner.starts_with('=')) inner.remove_prefix(1);
  if (!inner.starts_with(outer)) return false;
  return inner.size() == outer.size() || outer.ends_with('/') || inner[outer.size()] == '/';
}

}  // namespace weir::config
