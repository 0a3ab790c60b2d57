#include "config/server_address.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "config/endpoint.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::size_t kNameMax = 253;  // RFC 1035 2.3.4, as text.
constexpr std::size_t kLabelMax = 63;  // RFC 1035 2.3.4.
constexpr std::string_view kSrv = "srv:";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";

bool only(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == std::string_view::npos;
}

// RFC 1123 2.1: letters, digits and inner hyphens; underscores besides, because containers and
// their networks have them in names, and SRV records do (RFC 2782).
std::optional<Problem> bad_label(std::string_view label) {
  if (label.empty()) return Problem{"a part of the name is empty", "write one dot between parts"};
  if (label.size() > kLabelMax) {
    return Problem{"the part " + in_backticks(label) + " has more than 63 characters",
                   "use the name that the name server knows"};
  }
  if (label.front() == '-' || label.back() == '-' || only(label, "_")) {
    return Problem{"a part of the name begins or ends with `-`, or is only `_`",
                   "use the name that the name server knows"};
  }
  if (only(label, std::string(kLetters) + std::string(kDigits) + "-_")) return std::nullopt;
  return Problem{in_backticks(label) + " is no part of a host name",
                 "use letters, digits, `-`, `_` and `.`"};
}

// WHATWG's and inet_aton()'s view: a name whose last part is a number is an IPv4 address.
bool ends_in_number(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return all_digits(last) || (last.starts_with("0x") && only(last.substr(2), "0123456789abcdef"));
}

// Lower case, without the final dot.
Result<std::string, Problem> parse_name(std::string_view text) {
  std::string name = lower(text);
  if (name.ends_with('.')) name.pop_back();
  if (name.size() > kNameMax) {
    return Err(Problem{"the name has " + std::to_string(name.size()) + " characters",
                       "names take at most 253"});
  }
  for (std::string_view rest = name;;) {
    const std::size_t dot = rest.find('.');
    if (auto problem = bad_label(rest.substr(0, dot))) return Err(std::move(*problem));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (ends_in_number(name)) {
    return Err(Problem{"the name " + in_backticks(name) + " ends in a number",
                       "write an IPv4 address as four numbers, or a name such as app.example.com"});
  }
  return name;
}

Server named(HostName host) {
  Server server;
  server.name = host.text();
  server.host = std::move(host);
  return server;
}

Server addressed(Endpoint endpoint) {
  Server server;
  server.name = endpoint.text();
  server.address = std::move(endpoint);
  return server;
}

Result<Server, Problem> parse_srv(std::string_view text) {
  constexpr std::string_view kExample = "write for example srv:_http._tcp.example.com";
  const std::string_view rest = text.substr(kSrv.size());
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    return Err(Problem{"SRV records say the port themselves",
                       "write srv:" + std::string(rest.substr(0, colon))});
  }
  // RFC 2782: _Service._Proto.Name.
  const std::size_t dot = rest.find("._");
  const std::size_t end = rest.size() - (rest.ends_with('.') ? 1 : 0);
  if (!rest.starts_with('_') || dot == std::string_view::npos || rest.find('.', dot + 1) >= end) {
    return Err(
        Problem{in_backticks(text) + " is not the name of SRV records", std::string(kExample)});
  }
  auto name = parse_name(rest);
  if (!name) return Err(std::move(name.error()));
  return named({std::move(*name), 0});
}

// What begins like a port and has no dot is more often one with a slip than a name.
Problem without_port(const std::string& name) {
  const auto digits = std::string_view(name).substr(0, name.find_first_not_of(kDigits));
  if (!parse_port(digits) || name.find('.') != std::string::npos) {
    return {"the port is missing", "write " + name + ":8080"};
  }
  return {in_backticks(name) + " is neither a port nor a name with one",
          "write " + std::string(digits) + " for the port, or " + name + ":8080 for the name"};
}

// A host that was meant as a name: literals, also broken ones, are parse_endpoint()'s.
bool is_like_a_name(std::string_view host) {
  return !host.empty() && !only(host, "0123456789.*") &&
         std::ranges::all_of(host, [](char c) { return c > ' ' && c < '\x7f'; }) &&
         host.find_first_of("[]/@?#\\\"'`,;=%&(){}<>|^~$!+*") == std::string_view::npos;
}

}  // namespace

std::string HostName::text() const {
  return srv() ? std::string(kSrv) + name : name + ":" + std::to_string(port);
}

Result<Server, Problem> parse_server(std::string_view text) {
  if (lower(text.substr(0, kSrv.size())) == kSrv && !all_digits(text.substr(kSrv.size()))) {
    return parse_srv(text);
  }
  auto endpoint = parse_endpoint(text, Use::server);
  if (endpoint) return addressed(std::move(*endpoint));
  const auto bare = without_scheme(text, Use::server);
  if (!bare || text.starts_with("unix:")) return Err(std::move(endpoint.error()));
  const std::size_t colon = bare->find(':');
  const std::string_view host = std::string_view(*bare).substr(0, colon);
  if (!is_like_a_name(host) || bare->find(':', colon + 1) != std::string::npos) {
    return Err(std::move(endpoint.error()));
  }
  auto name = parse_name(host);
  if (!name) return Err(std::move(name.error()));
  if (colon == std::string::npos) return Err(without_port(*name));
  const auto port = parse_port(std::string_view(*bare).substr(colon + 1));
  if (!port) return Err(port.error());
  if (*name == "localhost") return addressed({Endpoint::Family::ipv4, "127.0.0.1", *port});
  return named({std::move(*name), *port});
}

}  // namespace weir::config
