#include "http/writer.h"

#include <gtest/gtest.h>

#include <memory>

#include "http/upgrade.h"
#include "vectors.h"

namespace weir::http::test {
namespace {

ForwardOptions forward_options(const Case& vector, std::string& ip, std::string& proto,
                               std::string& default_host) {
  ip = vector.option("ip", "192.0.2.1");
  proto = vector.option("proto", "http");
  default_host = vector.option("default-host");
  ForwardOptions options;
  options.x_forwarded = vector.has("x");
  options.forwarded = vector.has("forwarded");
  options.via = vector.has("via");
  options.trusted = vector.has("trusted");
  options.client_ip = ip;
  options.proto = proto;
  options.default_host = default_host;
  return options;
}

ResponseOptions response_options(const Case& vector, std::string& date) {
  date = vector.option("date");
  ResponseOptions options;
  options.chunked = vector.has("chunked");
  options.close = vector.has("close");
  options.keep_alive = vector.has("keep-alive");
  options.via = vector.has("via");
  options.date = date;
  if (vector.has("set-cookie")) options.set_cookie = "Set-Cookie: weir=1\r\n";
  return options;
}

// Parses the case's input from a block that is then moved, as connections move their buffers.
class MovedHead {
 public:
  MovedHead(const Case& vector, HeadParser::Mode mode) : bytes_(vector.in) {
    parser_.begin(mode, HeadLimits{});
    const auto first = std::make_unique<char[]>(bytes_.size());
    bytes_.copy(first.get(), bytes_.size());
    EXPECT_EQ(parser_.parse(first.get(), bytes_.size()), ParseStatus::complete);
    parser_.rebase(bytes_.data());
  }
  [[nodiscard]] const HeadParser& parser() const { return parser_; }

 private:
  std::string bytes_;
  HeadParser parser_;
};

// Writes with exactly enough room, then with every smaller one, which must be refused without a
// byte outside.
template <typename Write>
void check_output(const Case& vector, std::size_t extra, Write write) {
  EXPECT_LE(vector.out.size(), vector.in.size() + extra) << "kWriteExtraMax is too small";
  for (std::size_t room = 0; room <= vector.out.size() + 1; ++room) {
    const auto out = std::make_unique<char[]>(room);
    const std::size_t size = write(out.get(), room);
    if (room < vector.out.size()) {
      ASSERT_EQ(size, 0U) << "room " << room;
    } else {
      ASSERT_EQ(escape({out.get(), size}), escape(vector.out));
    }
  }
}

TEST(Writer, Requests) {
  const auto cases = read_cases("forward_requests.txt");
  EXPECT_GE(cases.size(), 35U);
  for (const Case& vector : cases) {
    SCOPED_TRACE(vector.where + ": " + vector.name);
    const MovedHead head(vector, HeadParser::Mode::request);
    const auto info = analyse_request(head.parser());
    ASSERT_TRUE(info) << to_string(info.error());
    std::string ip;
    std::string proto;
    std::string default_host;
    const UpgradeOffer offer = choose_upgrades(head.parser(), *info, vector.list("upgrade"));
    ForwardOptions options = forward_options(vector, ip, proto, default_host);
    options.upgrade = offer.text();
    check_output(vector, kWriteExtraMax, [&](char* out, std::size_t room) {
      return write_request_head(out, room, head.parser(), *info, options);
    });
  }
}

TEST(Writer, Responses) {
  const auto cases = read_cases("forward_responses.txt");
  EXPECT_GE(cases.size(), 20U);
  for (const Case& vector : cases) {
    SCOPED_TRACE(vector.where + ": " + vector.name);
    const MovedHead head(vector, HeadParser::Mode::response);
    const auto info = analyse_response(head.parser(), method_id(vector.option("method", "GET")),
                                       vector.option("upgrade"));
    ASSERT_TRUE(info) << to_string(info.error());
    std::string date;
    const ResponseOptions options = response_options(vector, date);
    check_output(vector, kWriteExtraMax, [&](char* out, std::size_t room) {
      return write_response_head(out, room, head.parser(), *info, options);
    });
  }
}

// Whole, once, in front of the empty line, whether or not the server sets cookies of its own; and
// refused like anything else when the room is too small.
TEST(Writer, SetCookieIsALineOfItsOwn) {
  const std::string line = "Set-Cookie: weir=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax\r\n";
  for (const std::string own : {"", "Set-Cookie: a=b\r\nset-cookie: weir=z\r\n"}) {
    SCOPED_TRACE(own);
    Case vector;
    vector.in = "HTTP/1.1 200 OK\r\n" + own + "Content-Length: 3\r\n\r\n";
    const MovedHead head(vector, HeadParser::Mode::response);
    const auto info = analyse_response(head.parser(), MethodId::get);
    ASSERT_TRUE(info);
    const auto written = [&](std::string_view set_cookie) {
      ResponseOptions options;
      options.set_cookie = set_cookie;
      std::string out(vector.in.size() + kWriteExtraMax, '\0');
      out.resize(write_response_head(out.data(), out.size(), head.parser(), *info, options));
      return out;
    };
    const std::string plain = written({});
    const std::string out = written(line);
    const std::size_t at = out.find(line);
    ASSERT_NE(at, std::string::npos) << escape(out);
    EXPECT_EQ(out.substr(0, at) + out.substr(at + line.size()), plain);
    EXPECT_TRUE(out.substr(0, at).ends_with("\r\n"));
    EXPECT_GT(at, out.find("HTTP/1.1 200 OK"));
    vector.out = out;
    check_output(vector, kWriteExtraMax, [&](char* room, std::size_t size) {
      ResponseOptions options;
      options.set_cookie = line;
      return write_response_head(room, size, head.parser(), *info, options);
    });
  }
}

TEST(Writer, TheLongestSetCookieFitsIntoThePromisedRoom) {
  Case vector;
  vector.in = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100; ++i) vector.in += "a:b\r\n";
  vector.in += "\r\n";
  const MovedHead head(vector, HeadParser::Mode::response);
  const auto info = analyse_response(head.parser(), MethodId::get);
  ASSERT_TRUE(info);
  const std::string line = "Set-Cookie: " + std::string(kSetCookieMax - 14, 'c') + "\r\n";
  ResponseOptions options;
  options.chunked = options.close = options.via = true;
  options.set_cookie = line;
  options.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  std::string out(vector.in.size() + kWriteExtraMax, '\0');
  EXPECT_GT(write_response_head(out.data(), out.size(), head.parser(), *info, options), 0U);
}

// RFC 9110 6.5.1.
TEST(Writer, Trailers) {
  for (const Case& vector : read_cases("forward_trailers.txt")) {
    SCOPED_TRACE(vector.where + ": " + vector.name);
    const MovedHead head(vector, HeadParser::Mode::trailers);
    check_output(vector, 0, [&](char* out, std::size_t room) {
      return write_trailers(out, room, head.parser());
    });
  }
}

// Every line is written longer than it came, and every host twice more: the promised room must do.
TEST(Writer, TheWorstCaseFitsIntoThePromisedRoom) {
  Case vector;
  vector.in = "GET / HTTP/1.1\r\nHost:" + std::string(255, 'h') + ":65535\r\n";
  const std::string protocols = "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u";
  vector.in += "Connection:upgrade\r\nUpgrade:" + protocols + "\r\n";
  for (int i = 0; i < 97; ++i) vector.in += "a:b\r\n";
  vector.in += "\r\n";
  const MovedHead head(vector, HeadParser::Mode::request);
  const auto info = analyse_request(head.parser());
  ASSERT_TRUE(info);
  vector.options["upgrade"] = protocols;
  const UpgradeOffer offer = choose_upgrades(head.parser(), *info, vector.list("upgrade"));
  ASSERT_EQ(offer.text().size(), 61U);
  ForwardOptions options;
  options.upgrade = offer.text();
  options.forwarded = options.via = true;
  options.client_ip = "1111:2222:3333:4444:5555:6666:7777:8888";
  const std::size_t room = vector.in.size() + kWriteExtraMax;
  std::string out(room, '\0');
  EXPECT_GT(write_request_head(out.data(), room, head.parser(), *info, options), 0U);
}

}  // namespace
}  // namespace weir::http::test
