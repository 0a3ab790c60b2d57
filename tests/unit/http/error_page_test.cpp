#include "http/error_page.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "http/parse_error.h"
#include "http/response.h"
#include "http/status.h"

namespace weir::http {
namespace {

std::string written(const ErrorResponse& response) {
  std::string out(kErrorResponseBytesMax, '\0');
  out.resize(write_error_response(out.data(), out.size(), response));
  return out;
}

TEST(ErrorPage, SaysWhatIsWrong) {
  ErrorResponse response;
  response.status = 400;
  response.word = "bad_host";
  response.text = "The host is not valid.";
  response.close = true;
  response.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(written(response),
            "HTTP/1.1 400 Bad Request\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 49\r\n"
            "Cache-Control: no-store\r\n"
            "Proxy-Status: weir; error=http_request_error; details=\"bad_host\"\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Connection: close\r\n\r\n"
            "400 Bad Request\nbad_host: The host is not valid.\n");
}

// RFC 9110 9.3.2.
TEST(ErrorPage, HeadGetsTheSameHead) {
  ErrorResponse response;
  response.status = 503;
  response.word = "no_healthy_server";
  response.retry_after_s = 7;
  response.keep_alive = true;
  const std::string full = written(response);
  response.head_request = true;
  const std::string head = written(response);
  EXPECT_EQ(full.substr(0, head.size()), head);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_NE(head.find("Retry-After: 7\r\n"), std::string::npos);
  EXPECT_NE(head.find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_NE(head.find("error=destination_unavailable;"), std::string::npos);
}

// RFC 9110 15.5.6.
TEST(ErrorPage, MethodNotAllowedNamesTheOthers) {
  ErrorResponse response;
  response.status = 405;
  response.word = to_string(ParseError::connect_not_allowed);
  EXPECT_NE(written(response).find("\r\nAllow: GET, HEAD, "), std::string::npos);
}

// Every page of the table is a valid response whose body has the announced length.
TEST(ErrorPage, EveryPageIsAValidResponse) {
  for (std::size_t i = 1; i < kParseErrorCount; ++i) {
    const ParseErrorInfo& row = info(static_cast<ParseError>(i));
    for (const std::uint16_t status : {row.status, std::uint16_t{502}}) {
      ErrorResponse response;
      response.status = status;
      response.word = row.word;
      response.text = row.text;
      const std::string page = written(response);
      HeadParser parser;
      parser.begin(HeadParser::Mode::response, HeadLimits{});
      ASSERT_EQ(parser.parse(page.data(), page.size()), ParseStatus::complete) << page;
      EXPECT_EQ(parser.status_code(), status);
      EXPECT_EQ(parser.reason(), reason_phrase(status));
      EXPECT_NE(parser.reason(), "Unknown");
      const auto meaning = analyse_response(parser, MethodId::get);
      ASSERT_TRUE(meaning);
      EXPECT_EQ(meaning->content_length, page.size() - parser.head_bytes());
    }
  }
}

TEST(ErrorPage, TheLongestOneFitsAndNothingIsWrittenOutside) {
  const std::string word(64, 'w');
  const std::string text(200, 't');
  ErrorResponse response;
  response.status = 431;
  response.word = word;
  response.text = text;
  response.close = true;
  response.retry_after_s = 4294967295;
  response.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  const std::size_t size = written(response).size();
  ASSERT_GT(size, 0U);
  for (std::size_t room = 0; room < size; ++room) {
    const auto out = std::make_unique<char[]>(room);
    EXPECT_EQ(write_error_response(out.get(), room, response), 0U);
  }
}

// RFC 9209 2.3.
TEST(ErrorPage, ErrorTypes) {
  EXPECT_EQ(proxy_error_type("connect_refused", "", 502), "connection_refused");
  EXPECT_EQ(proxy_error_type("connect_timeout", "", 504), "connection_timeout");
  EXPECT_EQ(proxy_error_type("no_route", "", 404), "destination_not_found");
  EXPECT_EQ(proxy_error_type("buffers_exhausted", "", 503), "proxy_internal_error");
  EXPECT_EQ(proxy_error_type("response_timeout", "", 504), "http_response_timeout");
  EXPECT_EQ(proxy_error_type("head_too_large", "", 431), "http_request_error");
  EXPECT_EQ(proxy_error_type("upstream_protocol", "head_too_large", 502),
            "http_response_header_section_size");
  EXPECT_EQ(proxy_error_type("upstream_protocol", "bad_chunk_size", 502),
            "http_response_transfer_coding");
  for (const char* rule :
       {"unexpected_upgrade", "bad_upgrade", "upgrade_with_body", "upgrade_not_offered"}) {
    EXPECT_EQ(proxy_error_type("upstream_protocol", rule, 502), "http_upgrade_failed");
  }
  EXPECT_EQ(proxy_error_type("upstream_protocol", "bad_field_name", 502), "http_protocol_error");
  EXPECT_EQ(proxy_error_type("unheard_of", "", 500), "proxy_internal_error");
  EXPECT_EQ(proxy_error_type("unheard_of", "", 504), "http_response_timeout");
}

// RFC 9110 7.6.2.
TEST(ErrorPage, OptionsAnsweredByTheProxy) {
  char out[256];
  const std::size_t size = write_options_response(out, sizeof(out), true, false, "");
  EXPECT_EQ(std::string_view(out, size),
            "HTTP/1.1 200 OK\r\n"
            "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(write_options_response(out, size - 1, true, false, ""), 0U);
}

// RFC 9110 9.3.6: nothing that speaks about a length.
TEST(ErrorPage, ConnectAnsweredByTheProxy) {
  constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
  char out[256];
  const std::size_t size = write_connect_response(out, sizeof(out), kDate);
  EXPECT_EQ(std::string_view(out, size),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
  EXPECT_EQ(write_connect_response(out, size - 1, kDate), 0U);
  EXPECT_EQ(std::string_view(out, write_connect_response(out, sizeof(out), "")),
            "HTTP/1.1 200 OK\r\n\r\n");
}

}  // namespace
}  // namespace weir::http
