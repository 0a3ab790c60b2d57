// Properties over random messages, most of them valid: the verdict does not depend on how bytes
// are cut, and what weir writes means what it read.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <numeric>

#include "generator.h"
#include "http/writer.h"
#include "transcript.h"

namespace weir::http::test {
namespace {

std::vector<std::size_t> random_cuts(std::size_t size) {
  auto cuts =
      *rc::gen::container<std::vector<std::size_t>>(5, rc::gen::inRange<std::size_t>(0, size + 1));
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

void check_splits(const MessageKind& kind, const std::string& wire) {
  const auto whole = read_in_pieces(kind, wire, {});
  RC_ASSERT(read_in_pieces(kind, wire, random_cuts(wire.size())) == whole);
  RC_CLASSIFY(!whole[0].starts_with("error"), "valid");
}

TEST(Properties, RequestsReadTheSameHoweverCut) {
  EXPECT_TRUE(rc::check("split requests", [] { check_splits(MessageKind{}, random_request()); }));
}

TEST(Properties, ResponsesReadTheSameHoweverCut) {
  EXPECT_TRUE(rc::check("split responses", [] {
    MessageKind kind;
    kind.mode = HeadParser::Mode::response;
    kind.request_method = *rc::gen::element(MethodId::get, MethodId::head);
    check_splits(kind, random_response());
  }));
}

// The shortcuts of the parser take whole lines, which bytes that come one by one never are: it then
// goes by its steps.
void expect_steps_agree(const MessageKind& kind, const std::string& wire) {
  std::vector<std::size_t> everywhere(wire.size());
  std::iota(everywhere.begin(), everywhere.end(), 0);
  EXPECT_EQ(read_in_pieces(kind, wire, {}), read_in_pieces(kind, wire, everywhere)) << wire;
}

TEST(Properties, UsualHeadsDamagedAnywhereReadTheSameByTheSteps) {
  const std::string request =
      "GET /a HTTP/1.1\r\nHost: a.b\r\nUser-Agent: c/1\r\nAccept-Encoding: gzip\r\n\r\n";
  const std::string response = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 0\r\n\r\n";
  for (const std::string& usual : {request, response}) {
    MessageKind kind;
    if (usual == response) kind.mode = HeadParser::Mode::response;
    for (std::size_t at = 0; at < usual.size(); ++at) {
      expect_steps_agree(kind, usual.substr(0, at));
      expect_steps_agree(kind, usual.substr(0, at) + usual.substr(at + 1));
      for (const char byte : std::string("\0\t\n\r :A_\x7f\x80", 10)) {
        std::string damaged = usual;
        damaged[at] = byte;
        expect_steps_agree(kind, damaged);
      }
    }
  }
}

// Reads a head, gives its writer's output.
std::string rewrite_request(const std::string& wire, HeadParser& head, RequestInfo& info) {
  head.begin(HeadParser::Mode::request, HeadLimits{});
  RC_PRE(head.parse(wire.data(), wire.size()) == ParseStatus::complete);
  const auto result = analyse_request(head);
  RC_PRE(static_cast<bool>(result));
  info = *result;
  ForwardOptions options;
  options.x_forwarded = false;
  options.client_ip = "192.0.2.1";
  options.default_host = "192.0.2.80";
  std::string out(head.head_bytes() + kWriteExtraMax, '\0');
  out.resize(write_request_head(out.data(), out.size(), head, info, options));
  return out;
}

// parse(write(parse(x))) says what parse(x) says, in canonical lines only, and writing is stable.
TEST(Properties, WrittenRequestsMeanTheSame) {
  EXPECT_TRUE(rc::check("rewrite requests", [] {
    const std::string wire = random_request();
    HeadParser first;
    HeadParser second;
    RequestInfo a;
    RequestInfo b;
    const std::string out = rewrite_request(wire, first, a);
    const std::string again = rewrite_request(out, second, b);
    RC_ASSERT(again == out);
    RC_ASSERT(second.head_bytes() == out.size());
    RC_ASSERT(first.method() == second.method());
    RC_ASSERT(a.path(first) == b.path(second));
    RC_ASSERT(a.query(first) == b.query(second));
    RC_ASSERT(first.view(a.authority) == second.view(b.authority));
    RC_ASSERT(a.body == b.body);
    RC_ASSERT(second.start_line_canonical());
    for (const Field& field : second.fields()) RC_ASSERT(field.canonical);
    const FieldSet hop(FieldId::connection, FieldId::keep_alive, FieldId::te, FieldId::upgrade,
                       FieldId::proxy_connection, FieldId::x_forwarded_for);
    RC_ASSERT(!second.present().intersects(hop));
  }));
}

TEST(Properties, WrittenResponsesMeanTheSame) {
  EXPECT_TRUE(rc::check("rewrite responses", [] {
    const std::string wire = random_response();
    HeadParser first;
    first.begin(HeadParser::Mode::response, HeadLimits{});
    RC_PRE(first.parse(wire.data(), wire.size()) == ParseStatus::complete);
    const auto a = analyse_response(first, MethodId::get);
    RC_PRE(static_cast<bool>(a));
    ResponseOptions options;
    options.chunked = a->body.kind == BodyFraming::Kind::chunked;
    std::string out(first.head_bytes() + kWriteExtraMax, '\0');
    out.resize(write_response_head(out.data(), out.size(), first, *a, options));
    HeadParser second;
    second.begin(HeadParser::Mode::response, HeadLimits{});
    RC_ASSERT(second.parse(out.data(), out.size()) == ParseStatus::complete);
    const auto b = analyse_response(second, MethodId::get);
    RC_ASSERT(static_cast<bool>(b));
    RC_ASSERT(second.head_bytes() == out.size());
    RC_ASSERT(a->status == b->status);
    RC_ASSERT(a->body == b->body);
    RC_ASSERT(first.reason() == second.reason());
    RC_ASSERT(second.start_line_canonical());
    for (const Field& field : second.fields()) RC_ASSERT(field.canonical);
  }));
}

}  // namespace
}  // namespace weir::http::test
