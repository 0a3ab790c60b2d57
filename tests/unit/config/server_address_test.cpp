// What may stand for a server: addresses, host names, names of SRV records.
#include "config/server_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

using testing::HasSubstr;

// "name app:3000" or "address 127.0.0.1:80"; the server is called so.
std::string read(std::string_view text) {
  const auto server = parse_server(text);
  if (!server) return "refused: " + server.error().sentence();
  const std::string canonical = server->host ? server->host->text() : server->address.text();
  EXPECT_EQ(server->name, canonical);
  return (server->host ? "name " : "address ") + canonical;
}

TEST(Servers, MayBeGivenByName) {
  EXPECT_EQ(read("app:3000"), "name app:3000");
  EXPECT_EQ(read("App.Example.COM:3000"), "name app.example.com:3000");
  EXPECT_EQ(read("app.example.com.:3000"), "name app.example.com:3000");
  EXPECT_EQ(read("http://app.example.com"), "name app.example.com:80");
  EXPECT_EQ(read("http://app.example.com:81/"), "name app.example.com:81");
  EXPECT_EQ(read("3com.example:80"), "name 3com.example:80");
  EXPECT_EQ(read("1.2.3.4.example:80"), "name 1.2.3.4.example:80");
  EXPECT_EQ(read("xn--mnchen-3ya.de:80"), "name xn--mnchen-3ya.de:80");
  EXPECT_EQ(read("srv:80"), "name srv:80");
  EXPECT_EQ(read("unix:80"),
            "refused: the socket path `80` is not absolute; "
            "write unix:/path/to/socket");
}

TEST(Servers, MayBeSrvRecords) {
  EXPECT_EQ(read("srv:_http._tcp.example.com"), "name srv:_http._tcp.example.com");
  EXPECT_EQ(read("SRV:_Http._TCP.Example.com."), "name srv:_http._tcp.example.com");
  EXPECT_TRUE(parse_server("srv:_http._tcp.example.com")->host->srv());
  EXPECT_FALSE(parse_server("app:80")->host->srv());
  EXPECT_THAT(read("srv:_http._tcp.example.com:80"), HasSubstr("write srv:_http._tcp.example.com"));
  for (const char* text : {"srv:", "srv:example.com", "srv:_http.example.com", "srv:_http._tcp",
                           "srv:_http._tcp.", "srv:__._tcp.a", "srv:_._tcp.a", "srv:_a._tcp..b"}) {
    EXPECT_THAT(read(text), HasSubstr("refused")) << text;
  }
}

TEST(Servers, OfThisMachineNeedNoLookUp) {
  EXPECT_EQ(read("localhost:80"), "address 127.0.0.1:80");
  EXPECT_EQ(read("LocalHost.:80"), "address 127.0.0.1:80");
  EXPECT_EQ(read("80"), "address 127.0.0.1:80");
  EXPECT_EQ(read("[::1]:80"), "address [::1]:80");
  EXPECT_EQ(read("unix:/run/app.sock"), "address unix:/run/app.sock");
}

TEST(Servers, NeedAPort) {
  EXPECT_EQ(read("app.example.com"), "refused: the port is missing; write app.example.com:8080");
  EXPECT_EQ(read("App."), "refused: the port is missing; write app:8080");
  EXPECT_THAT(read("app:"), HasSubstr("port is missing"));
  EXPECT_THAT(read("app:http"), HasSubstr("use 1 to 65535"));
  EXPECT_THAT(read("app:0"), HasSubstr("use 1 to 65535"));
  EXPECT_THAT(read("app:80:90"), HasSubstr("refused"));
}

TEST(Servers, HaveNamesThatDnsCanHold) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_EQ(longest.size(), 253u);
  EXPECT_EQ(read(longest + ":80"), "name " + longest + ":80");
  EXPECT_EQ(read(longest + ".:80"), "name " + longest + ":80");
  EXPECT_THAT(read(longest + "b:80"), HasSubstr("at most 253"));
  EXPECT_EQ(read(label + ":80"), "name " + label + ":80");
  EXPECT_THAT(read(label + "a:80"), HasSubstr("more than 63"));
  EXPECT_THAT(read("a..b:80"), HasSubstr("is empty"));
  EXPECT_THAT(read(".a:80"), HasSubstr("is empty"));
  EXPECT_THAT(read("a..:80"), HasSubstr("is empty"));
  EXPECT_THAT(read("-a:80"), HasSubstr("`-`"));
  EXPECT_THAT(read("a-:80"), HasSubstr("`-`"));
  EXPECT_THAT(read("a.-b.c:80"), HasSubstr("`-`"));
  EXPECT_THAT(read("a.-_b.c:80"), HasSubstr("`-`"));
}

// As containers are called (RFC 1123 has none).
TEST(Servers, HaveNamesWithUnderscores) {
  EXPECT_EQ(read("my_app:3000"), "name my_app:3000");
  EXPECT_EQ(read("http://My_App/"), "name my_app:80");
  EXPECT_EQ(read("stack_web_1.net_work:80"), "name stack_web_1.net_work:80");
  EXPECT_EQ(read("_http._tcp.a:80"), "name _http._tcp.a:80");
  EXPECT_EQ(read("srv:_http._tcp.my_app"), "name srv:_http._tcp.my_app");
  EXPECT_THAT(read("my_app"), HasSubstr("write my_app:8080"));
  EXPECT_THAT(read("_:80"), HasSubstr("only `_`"));
}

TEST(Servers, HaveNamesThatAreNoNumbers) {
  EXPECT_THAT(read("app.123:80"), HasSubstr("ends in a number"));
  EXPECT_THAT(read("0x7f.0.0.1:80"), HasSubstr("ends in a number"));
  EXPECT_THAT(read("0x7f000001:80"), HasSubstr("ends in a number"));
  EXPECT_THAT(read("srv:_http._tcp.1"), HasSubstr("ends in a number"));
  EXPECT_THAT(read("127.1:80"), HasSubstr("write four numbers"));
  EXPECT_THAT(read("256.1.1.1:80"), HasSubstr("write four numbers"));
  EXPECT_THAT(read("127.0.0.1"), HasSubstr("write 127.0.0.1:8080"));
}

TEST(Servers, AreNothingElse) {
  for (const char* text : {"",
                           " ",
                           "a b:80",
                           "a,b:80",
                           "a/b:80",
                           "user@app:80",
                           "https://app:443",
                           "app:80/x",
                           "*:80",
                           "*.example.com:80",
                           "\xC3\xA9:80",
                           "a\x01:80",
                           ":",
                           "[app]:80",
                           "app%eth0:80",
                           "-1",
                           "-1:80",
                           ".:80",
                           "http://",
                           "http://app:80:90",
                           "0.0.0.0:80",
                           "a\\b:80",
                           "0x:80"}) {
    const auto server = parse_server(text);
    ASSERT_FALSE(server) << text;
    EXPECT_FALSE(server.error().what.empty());
    EXPECT_FALSE(server.error().fix.empty()) << text;
  }
}

}  // namespace
}  // namespace weir::config
