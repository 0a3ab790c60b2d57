// See oracle.h: http-parser, the hand-written parser that llhttp replaced.
#include <http_parser.h>

#include "http/status.h"
#include "oracle.h"

namespace weir::fuzz {
namespace {

struct Asked {
  Opinion opinion;
  bool to_head = false;  // The responses answer HEAD.
};

Asked& asked(http_parser* parser) { return *static_cast<Asked*>(parser->data); }
OracleMessage& message(http_parser* parser) { return asked(parser).opinion.messages.back(); }

int begin_message(http_parser* parser) {
  asked(parser).opinion.messages.emplace_back();
  return 0;
}

int add_target(http_parser* parser, const char* at, std::size_t size) {
  message(parser).second.append(at, size);
  return 0;
}

int end_head(http_parser* parser) {
  const auto status = static_cast<std::uint16_t>(parser->status_code);
  const bool request = parser->type == HTTP_REQUEST;
  parser->upgrade = 0;
  message(parser).first =
      request ? http_method_str(static_cast<http_method>(parser->method)) : std::to_string(status);
  // It leaves 1xx, 204 and 304 (RFC 9112 6.3 step 1) to its user, as it must HEAD.
  return !request && (asked(parser).to_head || http::is_bodiless(status)) ? 1 : 0;
}

int add_body(http_parser* parser, const char* at, std::size_t size) {
  message(parser).body.append(at, size);
  return 0;
}

int end_message(http_parser* parser) {
  message(parser).complete = true;
  return 0;
}

}  // namespace

Opinion ask_http_parser(const ReaderOptions& options, std::string_view bytes) {
  http_parser_settings settings;
  http_parser_settings_init(&settings);
  settings.on_message_begin = begin_message;
  settings.on_url = add_target;
  settings.on_headers_complete = end_head;
  settings.on_body = add_body;
  settings.on_message_complete = end_message;
  http_parser parser;
  const bool request = options.mode == http::HeadParser::Mode::request;
  http_parser_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE);
  Asked asked;
  asked.to_head = options.request_method == http::MethodId::head;
  parser.data = &asked;
  http_parser_execute(&parser, &settings, bytes.data(), bytes.size());
  // No bytes mean the end of the connection.
  if (parser.http_errno == HPE_OK) http_parser_execute(&parser, &settings, bytes.data(), 0);
  if (parser.http_errno != HPE_OK) {
    asked.opinion.refusal = http_errno_name(static_cast<http_errno>(parser.http_errno));
  }
  return std::move(asked.opinion);
}

}  // namespace weir::fuzz
