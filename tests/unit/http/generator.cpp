// See generator.h.
#include "generator.h"

namespace weir::http::test {
namespace {

using Texts = std::vector<std::string>;

// 0 to end - 1. Without resize() the range would begin at nothing and grow with the test.
int up_to(int end) { return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, end)); }

std::string line_end() { return draw({"\r\n"}, {"\n", "\r", "\r\r\n", "\n\r\n"}); }

std::string separator() { return draw({": ", ":", ":  ", ":\t"}, {" : ", "\t: ", " ", "=", "::"}); }

std::string field() {
  const std::string name =
      draw({"X-A", "Accept", "Cookie", "X-Forwarded-For", "Via", "TE", "Keep-Alive", "Trailer",
            "Proxy-Connection", "Upgrade", "x_odd~name", "Cache-Control", "X-Forwarded-Proto"},
           {"", "a b", "caf\xc3\xa9", "a\x01", "(x)"});
  const std::string value =
      draw({"", "b", "b c", " b\t", "b\tc", "\xff\xa0", "gzip, deflate", "\"q\"", "1.1.1.1"},
           {std::string("b\0c", 3), "b\rc", "b\x0b", "\x7f"});
  return name + separator() + value + line_end();
}

std::string connection() {
  return "Connection" + separator() +
         draw({"close", "keep-alive", "Keep-Alive, X-A", "x-a, cookie", "", ",,", "te", "upgrade"},
              {"\"", "a b"}) +
         line_end();
}

std::string chunked_body() {
  std::string body;
  const int chunks = up_to(3);
  for (int i = 0; i < chunks; ++i) {
    body += draw({"3\r\nabc\r\n", "03\r\nabc\r\n", "A\r\n0123456789\r\n", "3;e=f\r\nabc\r\n",
                  "3;e=\"f\"\r\nabc\r\n"},
                 {"3\nabc\r\n", "3\r\nabcd\r\n", "3 \r\nabc\r\n", "0x3\r\nabc\r\n", "-3\r\nabc\r\n",
                  "ffffffffffffffff1\r\nabc\r\n", "3;\n\r\nabc\r\n", "3\r\nabc\n", "3\r\nabc",
                  "3;e=\"\r\nabc\r\n"});
  }
  body += draw({"0\r\n", "00\r\n", "0;last\r\n"}, {"0\n", "0", "0 \r\n"});
  if (up_to(4) == 0) body += field();
  return body + line_end();
}

struct Framing {
  std::string fields;
  std::string body;
};

Framing framing() {
  switch (up_to(6)) {
    case 0:
    case 1: return {};
    case 2:
    case 3:
      return {"Content-Length" + separator() +
                  draw({"3", "03", "0003 "},
                       {"+3", "3,3", "3 3", "", "0x3", "3;", "99999999999999999999"}) +
                  line_end(),
              "abc"};
    case 4:
      return {"Transfer-Encoding" + separator() +
                  draw({"chunked", "Chunked", "CHUNKED "},
                       {"chunked, chunked", "gzip, chunked", "chunked, gzip", "gzip", "xchunked",
                        "chunked;a", ",chunked", "", "identity", "\"chunked\""}) +
                  line_end(),
              chunked_body()};
    default:
      return {
          draw({"Content-Length: 3\r\n"}, {"content-length: 3\r\nContent-Length: 3\r\n",
                                           "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                                           "Content-Length: 3\r\nTransfer-Encoding : chunked\r\n",
                                           "Content-Length: 3\r\nX: y\r\n z\r\n"}),
          "abc"};
  }
}

std::string fields_around(const std::string& wanted) {
  std::string out;
  const int before = up_to(3);
  for (int i = 0; i < before; ++i) out += field();
  out += wanted;
  if (up_to(3) == 0) out += connection();
  const int after = up_to(3);
  for (int i = 0; i < after; ++i) out += field();
  return out;
}

}  // namespace

std::string draw(const Texts& good, const Texts& bad) {
  constexpr int kGoodOfHundred = 97;
  const bool pick_good = up_to(100) < kGoodOfHundred;
  return *rc::gen::elementOf(pick_good ? good : bad);
}

std::string random_request() {
  const Framing body = framing();
  std::string out = draw({"", "\r\n"}, {"\n", " ", "\r"});
  out += draw({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PURGE"},
              {"", "GE T", "CONNECT", "G\x01T", "get\x7f"});
  out += draw({" "}, {"  ", "\t", ""});
  out += draw({"/", "/a?b", "/a//..;x=%zz", "http://h/p?q", "http://h:81", "/\"{|}^`<>"},
              {"*", "", "a", "/#f", "/\xc3", "ftp://h/", "http://me@h/", "/a b"});
  out += draw({" "}, {"  ", "\t", ""});
  out += draw({"HTTP/1.1", "HTTP/1.1", "HTTP/1.0"}, {"HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1"});
  out += line_end();
  const std::string host = "Host" + separator() +
                           draw({"h", "h:80", "[::1]:8"}, {"", "h h", "a/b", "h\r\nHost: h"}) +
                           line_end();
  out += fields_around(host + body.fields);
  return out + line_end() + body.body;
}

std::string random_response() {
  const Framing body = framing();
  std::string out = draw({"HTTP/1.1", "HTTP/1.1", "HTTP/1.0"}, {"HTTP/2.0", "HTTP/1", "", "ICY"});
  out += draw({" "}, {"  ", "\t", ""});
  out += draw({"200", "404", "204", "304", "500", "100"}, {"099", "20", "2000", "600", "20x"});
  out += draw({" OK", " ", "", " N\xf6t f\tund"}, {" O\x01K", "  ", "\tOK"});
  out += line_end();
  out += fields_around(body.fields);
  return out + line_end() + body.body;
}

}  // namespace weir::http::test
