#include "http/request.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "http/host.h"
#include "http/list.h"
#include "http/number.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::uint64_t kPortMax = 65535;

Slice part(Slice whole, std::size_t at, std::size_t size) {
  return {static_cast<std::uint16_t>(whole.at + at), static_cast<std::uint16_t>(size)};
}

// Size of "http://" or "https://", in any case (RFC 3986 3.1); 0 for anything else.
std::size_t scheme_size(std::string_view target) {
  if (scan::equals_lower(target.substr(0, 7), "http://")) return 7;
  return scan::equals_lower(target.substr(0, 8), "https://") ? 8 : 0;
}

// Takes an authority, from whichever place, as the one that counts.
ParseError set_authority(const HeadParser& head, Slice authority, RequestInfo& out) {
  const auto size = host_size(head.base(), head.view(authority));
  if (!size || *size > kHostBytesMax) return ParseError::bad_host;
  out.authority = authority;
  out.host = part(authority, 0, *size);
  return ParseError::none;
}

// RFC 9112 3.2: exactly one valid Host; only HTTP/1.0 may leave it out. RFC 9110 4.2.1: an http URI
// with an empty host is invalid, so an empty Host names nothing either.
ParseError read_host(const HeadParser& head, RequestInfo& out) {
  const Field* host = nullptr;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::host) continue;
    if (host != nullptr) return ParseError::host_repeated;
    host = &field;
  }
  if (host != nullptr) return set_authority(head, host->value, out);
  return out.http10 ? ParseError::none : ParseError::host_missing;
}

// RFC 9112 3.2.2: the target's authority replaces the one of Host.
ParseError read_absolute(const HeadParser& head, std::size_t scheme, RequestInfo& out) {
  const Slice whole = head.target_slice();
  const std::string_view after = head.target().substr(scheme);
  const std::size_t size = std::min(after.find_first_of("/?"), after.size());
  const ParseError error = set_authority(head, part(whole, scheme, size), out);
  if (error != ParseError::none) return error;
  out.form = TargetForm::absolute;
  out.https = scheme == std::string_view("https://").size();
  out.target = part(whole, scheme + size, after.size() - size);
  if (after.size() == size && out.method == MethodId::options) {
    out.form = TargetForm::asterisk;  // RFC 9112 3.2.4: no path and no query means "*".
  } else {
    out.slash_first = size == after.size() || after[size] == '?';  // RFC 9112 3.2.1.
  }
  return ParseError::none;
}

std::optional<std::array<std::uint8_t, 16>> ipv6_literal(std::string_view host) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (!host.starts_with('[') || !host.ends_with(']') || host.size() - 2 >= text.size()) return {};
  std::ranges::copy(host.substr(1, host.size() - 2), text.begin());
  std::array<std::uint8_t, 16> ip{};
  return inet_pton(AF_INET6, text.data(), ip.data()) == 1 ? std::optional(ip) : std::nullopt;
}

// An IPv6 address has many spellings (RFC 4291 2.2), and a name may end with the dot that is the
// root of all names.
bool same_host(std::string_view one, std::string_view other) {
  for (std::string_view* each : {&one, &other}) {
    if (each->ends_with('.')) each->remove_suffix(1);
  }
  const auto ip = ipv6_literal(one);
  return ip ? ip == ipv6_literal(other) : scan::equals_nocase(one, other);
}

// RFC 9112 3.2: Host repeats the target of a CONNECT, in whichever spelling. Clients leave a port
// out that they take for the default one.
bool host_repeats(const HeadParser& head, const RequestInfo& info, std::string_view name,
                  std::uint64_t port) {
  const auto authority = head.view(info.authority);
  const auto its_port =
      authority.substr(std::min<std::size_t>(info.host.size + 1, authority.size()));
  return same_host(head.view(info.host), name) &&
         (its_port.empty() || parse_decimal(its_port, kPortMax) == port);
}

// RFC 9112 3.2.3: host ":" port and nothing else. The port may not be left out, and none is 0.
ParseError read_authority(const HeadParser& head, RequestInfo& out) {
  const std::string_view target = head.target();
  const std::size_t size = host_size(head.base(), target).value_or(target.size());
  if (size == target.size() || size > kHostBytesMax) return ParseError::bad_target;
  const auto port = parse_decimal(target.substr(size + 1), kPortMax);
  if (!port || *port == 0) return ParseError::bad_target;
  const bool has_host = out.authority.size != 0;  // HTTP/1.0 may leave it out.
  if (has_host && !host_repeats(head, out, target.substr(0, size), *port)) {
    return ParseError::host_mismatch;
  }
  out.form = TargetForm::authority;
  out.authority = out.target;
  out.host = part(out.target, 0, size);
  out.port = static_cast<std::uint16_t>(*port);
  return ParseError::none;
}

// RFC 9112 3.2.1 to 3.2.4. Comes after read_host, whose answer the target overrides.
ParseError read_target(const HeadParser& head, RequestInfo& out) {
  const std::string_view target = head.target();
  out.target = head.target_slice();
  if (out.method == MethodId::connect) return read_authority(head, out);
  if (target.front() == '/') return ParseError::none;
  if (const std::size_t scheme = scheme_size(target)) return read_absolute(head, scheme, out);
  if (target != "*" || out.method != MethodId::options) return ParseError::bad_target;
  out.form = TargetForm::asterisk;
  return ParseError::none;
}

bool has_body(const RequestInfo& info) {
  return info.body.kind == BodyFraming::Kind::chunked || info.body.length != 0;
}

// RFC 9110 10.1.1: in HTTP/1.0, and without a body, 100-continue means nothing. Any other
// expectation is refused, because nobody behind weir will be asked to meet it.
ParseError read_expect(const HeadParser& head, RequestInfo& out) {
  if (out.http10 || !head.present().contains(FieldId::expect)) return ParseError::none;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::expect) continue;
    std::string_view rest = head.value(field);
    do {
      const std::string_view expectation = next_element(rest);
      if (!expectation.empty() && !scan::equals_lower(expectation, "100-continue")) {
        return ParseError::expectation_failed;
      }
      out.expects_continue = out.expects_continue || !expectation.empty();
    } while (rest.data() != nullptr);
  }
  out.expects_continue = out.expects_continue && has_body(out);
  return ParseError::none;
}

// RFC 9110 7.6.2. A TRACE that ends here would have to be echoed; weir does not.
ParseError read_max_forwards(const HeadParser& head, RequestInfo& out) {
  const bool counts = out.method == MethodId::trace || out.method == MethodId::options;
  if (!counts || !head.present().contains(FieldId::max_forwards)) return ParseError::none;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::max_forwards) continue;
    const auto hops = parse_decimal(head.value(field), kLengthMax);
    if (!hops || out.max_forwards != RequestInfo::kNoMaxForwards) {
      return ParseError::bad_max_forwards;
    }
    out.max_forwards = static_cast<std::int64_t>(*hops);
  }
  const bool trace_ends_here = out.method == MethodId::trace && out.max_forwards == 0;
  return trace_ends_here ? ParseError::trace_not_answered : ParseError::none;
}

// RFC 9112 9.3, and RFC 9110 7.8: in HTTP/1.0 Upgrade means nothing, nor without the option. With a
// body the switch would have to wait for its end; such an offer is dropped. Behind a CONNECT a
// client may send for its tunnel without waiting, which must not be read as a request when there is
// none.
ParseError read_connection(const HeadParser& head, RequestInfo& out) {
  ConnectionOptions options;
  const ParseError error = read_connection_options(head, options);
  const bool connect = out.method == MethodId::connect;
  out.keep_alive = !connect && !options.close && (!out.http10 || options.keep_alive);
  out.offers_upgrade = !connect && !out.http10 && !has_body(out) && options.upgrade &&
                       head.present().contains(FieldId::upgrade);
  out.nominated = options.nominated;
  return error;
}

ParseError read_framing(const HeadParser& head, RequestInfo& out) {
  if (!head.present().intersects(kFramingFields)) return ParseError::none;  // Nor a body.
  const auto fields = read_framing_fields(head);
  if (!fields) return fields.error();
  out.body = frame_request(*fields);
  if (!has_body(out)) return ParseError::none;
  // RFC 9110 9.3.8 and 9.3.6.
  if (out.method == MethodId::trace) return ParseError::trace_with_body;
  return out.method == MethodId::connect ? ParseError::connect_with_body : ParseError::none;
}

}  // namespace

Result<RequestInfo, ParseError> analyse_request(const HeadParser& head) {
  Result<RequestInfo, ParseError> result;
  RequestInfo& out = *result;
  out.method = method_id(head.method());
  out.http10 = head.minor_version() == 0;
  ParseError error = read_host(head, out);
  if (error == ParseError::none) error = read_target(head, out);
  if (error == ParseError::none) error = read_framing(head, out);
  if (error == ParseError::none) error = read_connection(head, out);
  if (error == ParseError::none) error = read_expect(head, out);
  if (error == ParseError::none) error = read_max_forwards(head, out);
  if (error != ParseError::none) result = Err(error);
  return result;  // The one return: made where the caller wants it, nothing is copied.
}

std::string_view RequestInfo::path(const HeadParser& head) const {
  if (form == TargetForm::asterisk) return "*";
  if (slash_first) return "/";
  const std::string_view text = head.view(target);
  return text.substr(0, text.find('?'));
}

std::string_view RequestInfo::query(const HeadParser& head) const {
  const std::string_view text = head.view(target);
  const std::size_t mark = text.find('?');
  return mark == std::string_view::npos ? std::string_view{} : text.substr(mark);
}

bool RequestInfo::connects_to(const HeadParser& head, std::string_view host_and_port) const {
  const std::size_t colon = host_and_port.rfind(':');
  if (form != TargetForm::authority || colon == std::string_view::npos) return false;
  return parse_decimal(host_and_port.substr(colon + 1), kPortMax) == port &&
         same_host(head.view(host), host_and_port.substr(0, colon));
}

}  // namespace weir::http
