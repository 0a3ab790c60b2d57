#include "http/request.h"

#include <algorithm>

#include "http/host.h"
#include "http/list.h"
#include "http/number.h"
#include "http/scan.h"

namespace weir::http {
namespace {

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
  const auto size = host_size(head.view(authority));
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
  out.target = part(whole, scheme + size, after.size() - size);
  if (after.size() == size && out.method == MethodId::options) {
    out.form = TargetForm::asterisk;  // RFC 9112 3.2.4: no path and no query means "*".
  } else {
    out.slash_first = size == after.size() || after[size] == '?';  // RFC 9112 3.2.1.
  }
  return ParseError::none;
}

// RFC 9112 3.2.1 to 3.2.4. Comes after read_host, whose answer the absolute form overrides.
ParseError read_target(const HeadParser& head, RequestInfo& out) {
  const std::string_view target = head.target();
  out.target = head.target_slice();
  if (target.front() == '/') return ParseError::none;
  if (const std::size_t scheme = scheme_size(target)) return read_absolute(head, scheme, out);
  if (target != "*" || out.method != MethodId::options) return ParseError::bad_target;
  out.form = TargetForm::asterisk;
  return ParseError::none;
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
  const bool has_body = out.body.kind == BodyFraming::Kind::chunked || out.body.length != 0;
  out.expects_continue = out.expects_continue && has_body;
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

// RFC 9112 9.3.
ParseError read_connection(const HeadParser& head, RequestInfo& out) {
  ConnectionOptions options;
  const ParseError error = read_connection_options(head, options);
  out.keep_alive = !options.close && (!out.http10 || options.keep_alive);
  out.asks_upgrade = !out.http10 && options.upgrade && head.present().contains(FieldId::upgrade);
  out.nominated = options.nominated;
  return error;
}

ParseError read_framing(const HeadParser& head, RequestInfo& out) {
  const auto fields = read_framing_fields(head);
  if (!fields) return fields.error();
  out.body = frame_request(*fields);
  const bool has_body = fields->chunked || fields->length != 0;
  // RFC 9110 9.3.8.
  return has_body && out.method == MethodId::trace ? ParseError::trace_with_body : ParseError::none;
}

}  // namespace

Result<RequestInfo, ParseError> analyse_request(const HeadParser& head) {
  Result<RequestInfo, ParseError> result;
  RequestInfo& out = *result;
  out.method = method_id(head.method());
  out.http10 = head.minor_version() == 0;
  // RFC 9110 9.3.6: a reverse proxy opens no tunnels; the authority form dies with it.
  if (out.method == MethodId::connect) return Err(ParseError::connect_not_allowed);
  ParseError error = read_host(head, out);
  if (error == ParseError::none) error = read_target(head, out);
  if (error == ParseError::none) error = read_framing(head, out);
  if (error == ParseError::none) error = read_connection(head, out);
  if (error == ParseError::none) error = read_expect(head, out);
  if (error == ParseError::none) error = read_max_forwards(head, out);
  if (error != ParseError::none) return Err(error);
  return result;
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

}  // namespace weir::http
