// The head that a client gets for the head of a server's response: the same response, with the
// framing that weir has chosen; see request_writer.cpp.
#include "http/writer.h"

#include "written.h"

namespace {

using namespace weir;
using http::BodyFraming;
using http::ResponseInfo;

http::ResponseOptions take_options(fuzz::Input& input) {
  const std::uint8_t bits = input.byte();
  http::ResponseOptions options;
  options.chunked = (bits & 1) != 0;
  options.close = (bits & 2) != 0;
  options.keep_alive = (bits & 4) != 0;
  options.via = (bits & 8) != 0;
  if ((bits & 16) != 0) options.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  return options;
}

std::string write(const http::HeadParser& head, const ResponseInfo& info,
                  const http::ResponseOptions& options) {
  return fuzz::write_checked(head, [&](char* out, std::size_t room) {
    return http::write_response_head(out, room, head, info, options);
  });
}

// Where the client has to see the end of the body.
BodyFraming framing_for_client(const ResponseInfo& info, const http::ResponseOptions& options) {
  if (info.body.kind == BodyFraming::Kind::none) return {};
  if (options.chunked) return {BodyFraming::Kind::chunked, 0};
  if (info.body.kind == BodyFraming::Kind::length) return info.body;
  return {BodyFraming::Kind::until_close, 0};
}

// RFC 9110 8.6: never in 1xx and 204; in the answer to HEAD and in 304 it speaks about another
// body.
bool keeps_length(const ResponseInfo& info, const BodyFraming& for_client) {
  return info.has_content_length && info.status >= 200 && info.status != 204 &&
         for_client.kind != BodyFraming::Kind::chunked;
}

void check_fields(const http::HeadParser& after, const ResponseInfo& got,
                  const http::ResponseOptions& options) {
  const auto lines =
      std::ranges::count(after.fields(), http::FieldId::connection, &http::Field::id);
  const bool final = got.status >= 200;
  // RFC 9110 15.5.22.
  const bool names_protocols =
      got.switches || (got.status == 426 && after.present().contains(http::FieldId::upgrade));
  CHECK(lines == (names_protocols || (final && (options.close || options.keep_alive)) ? 1 : 0));
  CHECK(!options.close || got.interim || !got.keep_alive);
  CHECK(!final || options.date.empty() || after.present().contains(http::FieldId::date));
  for (const http::Field& field : after.fields()) {
    const bool allowed = names_protocols && field.id == http::FieldId::upgrade;
    CHECK(allowed || field.id == http::FieldId::connection ||
          !fuzz::kNeverPassed.contains(field.id));
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const http::ResponseOptions options = take_options(input);
  const std::uint8_t answered = input.byte();
  const auto method = static_cast<http::MethodId>((answered + 1) % 10);
  const std::string_view offer = answered / 10 % 2 != 0 ? "websocket, SPDY/3.1" : "";
  const fuzz::Head head(http::HeadParser::Mode::response, input.rest());
  if (!head.complete()) return 0;
  const auto info = http::analyse_response(head.parser(), method, offer);
  if (!info) return 0;

  const std::string out = write(head.parser(), *info, options);
  const fuzz::Head again(http::HeadParser::Mode::response, out, fuzz::kWideLimits);
  fuzz::check_canonical(again, out.size());
  CHECK(again.parser().start_line_canonical());
  CHECK(again.parser().status_code() == head.parser().status_code());
  CHECK(again.parser().reason() == head.parser().reason());
  CHECK(fuzz::passed_lines(head.parser()) == fuzz::passed_lines(again.parser()));

  const auto got = http::analyse_response(again.parser(), method, offer);
  CHECK(got.has_value(), "what was written makes no sense");
  CHECK(got->body == framing_for_client(*info, options), "the body ends elsewhere");
  CHECK(got->has_content_length == keeps_length(*info, got->body));
  CHECK(!got->has_content_length || got->content_length == info->content_length);
  check_fields(again.parser(), *got, options);

  // Lines of weir's own come last, and once more when they are read.
  if (!got->switches && (options.close || options.keep_alive || got->status == 426)) return 0;
  CHECK(write(again.parser(), *got, options) == out || options.via, "another one when read again");
  return 0;
}
