#include "http/response.h"

#include <algorithm>

#include "http/list.h"
#include "http/number.h"
#include "http/scan.h"
#include "http/status.h"

namespace weir::http {
namespace {

constexpr std::uint32_t kParameterMax = 0x7fff'ffff;

// Reads "name=N" into `out`; what does not look like that is nobody's loss.
void read_parameter(std::string_view element, std::string_view name,
                    std::optional<std::uint32_t>& out) {
  const std::size_t equal = std::min(element.find('='), element.size());
  if (equal == element.size()) return;
  if (!scan::equals_lower(scan::trim(element.substr(0, equal)), name)) return;
  const auto number = parse_decimal(scan::trim(element.substr(equal + 1)), kParameterMax);
  if (number) out = static_cast<std::uint32_t>(*number);
}

void read_keep_alive(const HeadParser& head, ResponseInfo& out) {
  if (!head.present().contains(FieldId::keep_alive)) return;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::keep_alive) continue;
    std::string_view rest = head.value(field);
    do {
      const std::string_view element = next_element(rest);
      read_parameter(element, "timeout", out.keep_alive_timeout_s);
      read_parameter(element, "max", out.keep_alive_max);
    } while (rest.data() != nullptr);
  }
}

// RFC 9112 9.3 and 9.6. A server that announces a body where none can be (RFC 9112 6.1, 6.3 step 1)
// might send it all the same: its connection is not used again.
bool decide_keep_alive(const ResponseInfo& info, const ConnectionOptions& options,
                       const FramingFields& fields) {
  if (info.switches || info.body.kind == BodyFraming::Kind::until_close) return false;
  if (options.close || (info.http10 && !options.keep_alive)) return false;
  const bool never_a_body = info.interim || info.status == 204;
  return !(never_a_body && (fields.chunked || fields.length != 0));
}

// RFC 9110 7.8: every protocol that the server switches to was offered.
bool all_offered(const HeadParser& head, std::string_view offer) {
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::upgrade) continue;
    std::string_view rest = head.value(field);
    do {
      if (!has_element(offer, next_element(rest))) return false;
    } while (rest.data() != nullptr);
  }
  return true;
}

// RFC 9110 15.2.2 and 7.8. A length in a 101 leaves open where the other protocol begins (RFC 9110
// 8.6: there must be none); one of 0 does not.
ParseError check_switch(const HeadParser& head, const ConnectionOptions& options,
                        const FramingFields& fields, std::string_view offer) {
  const bool complete = options.upgrade && head.present().contains(FieldId::upgrade);
  if (!complete || head.minor_version() == 0) return ParseError::bad_upgrade;
  if (fields.length != 0 || head.present().contains(FieldId::transfer_encoding)) {
    return ParseError::upgrade_with_body;
  }
  return all_offered(head, offer) ? ParseError::none : ParseError::upgrade_not_offered;
}

ParseError read_response(const HeadParser& head, MethodId request_method,
                         std::string_view upgrade_offer, ResponseInfo& out) {
  out.status = head.status_code();
  out.switches = out.status == 101;
  out.interim = is_interim(out.status) && !out.switches;
  out.http10 = head.minor_version() == 0;
  if (out.switches && upgrade_offer.empty()) return ParseError::unexpected_upgrade;

  const auto fields = read_framing_fields(head);
  if (!fields) return fields.error();
  out.body = frame_response(*fields, request_method, out.status);
  out.has_content_length = fields->has_length;
  out.content_length = fields->length;

  ConnectionOptions options;
  ParseError error = read_connection_options(head, options);
  if (error == ParseError::none && out.switches) {
    error = check_switch(head, options, *fields, upgrade_offer);
  }
  out.nominated = options.nominated;
  out.keep_alive = decide_keep_alive(out, options, *fields);
  read_keep_alive(head, out);
  return error;
}

}  // namespace

Result<ResponseInfo, ParseError> analyse_response(const HeadParser& head, MethodId request_method,
                                                  std::string_view upgrade_offer) {
  Result<ResponseInfo, ParseError> result;
  const ParseError error = read_response(head, request_method, upgrade_offer, *result);
  if (error != ParseError::none) result = Err(error);
  return result;  // The one return: made where the caller wants it, nothing is copied.
}

}  // namespace weir::http
