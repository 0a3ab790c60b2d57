// See oracle.h: llhttp, the parser of Node.js, in its strict mode.
#include <llhttp.h>

#include "http/status.h"
#include "oracle.h"

namespace weir::fuzz {
namespace {

struct Asked {
  Opinion opinion;
  bool to_head = false;  // The responses answer HEAD.
};

Asked& asked(llhttp_t* parser) { return *static_cast<Asked*>(parser->data); }
OracleMessage& message(llhttp_t* parser) { return asked(parser).opinion.messages.back(); }

int begin_message(llhttp_t* parser) {
  asked(parser).opinion.messages.emplace_back();
  return 0;
}

int add_target(llhttp_t* parser, const char* at, std::size_t size) {
  message(parser).second.append(at, size);
  return 0;
}

int end_head(llhttp_t* parser) {
  const auto status = static_cast<std::uint16_t>(parser->status_code);
  const bool request = parser->type == HTTP_REQUEST;
  parser->upgrade = 0;
  message(parser).first = request ? llhttp_method_name(static_cast<llhttp_method_t>(parser->method))
                                  : std::to_string(status);
  // It leaves 1xx, 204 and 304 (RFC 9112 6.3 step 1) to its user, as it must HEAD.
  return !request && (asked(parser).to_head || http::is_bodiless(status)) ? 1 : 0;
}

int add_body(llhttp_t* parser, const char* at, std::size_t size) {
  message(parser).body.append(at, size);
  return 0;
}

int end_message(llhttp_t* parser) {
  message(parser).complete = true;
  return 0;
}

}  // namespace

Opinion ask_llhttp(const ReaderOptions& options, std::string_view bytes) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_begin = begin_message;
  settings.on_url = add_target;
  settings.on_headers_complete = end_head;
  settings.on_body = add_body;
  settings.on_message_complete = end_message;
  llhttp_t parser;
  const bool request = options.mode == http::HeadParser::Mode::request;
  llhttp_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  Asked asked;
  asked.to_head = options.request_method == http::MethodId::head;
  parser.data = &asked;
  llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (error == HPE_OK) error = llhttp_finish(&parser);
  if (error != HPE_OK) asked.opinion.refusal = llhttp_errno_name(error);
  return std::move(asked.opinion);
}

}  // namespace weir::fuzz
