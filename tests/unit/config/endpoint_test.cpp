#include "config/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::config {
namespace {

using testing::HasSubstr;

std::string text_of(std::string_view text, Use use) {
  const auto endpoint = parse_endpoint(text, use);
  return endpoint ? endpoint->text() : "refused: " + endpoint.error().sentence();
}

TEST(Endpoints, MeanWhatTheyAreFor) {
  EXPECT_EQ(text_of("8080", Use::listen), "0.0.0.0:8080");
  EXPECT_EQ(text_of("8080", Use::server), "127.0.0.1:8080");
  EXPECT_EQ(text_of("8080", Use::admin), "127.0.0.1:8080");
  EXPECT_EQ(text_of(":8080", Use::listen), "0.0.0.0:8080");
  EXPECT_EQ(text_of(":8080", Use::server), "127.0.0.1:8080");
  EXPECT_EQ(text_of(":8080", Use::admin), "0.0.0.0:8080");
  EXPECT_EQ(text_of("*:8080", Use::listen), "0.0.0.0:8080");
  EXPECT_EQ(text_of("*:8080", Use::admin), "0.0.0.0:8080");
  EXPECT_THAT(text_of("*:8080", Use::server), HasSubstr("write 127.0.0.1:8080"));
  EXPECT_THAT(text_of("0.0.0.0:8080", Use::server), HasSubstr("write 127.0.0.1:8080"));
  EXPECT_THAT(text_of("[::]:8080", Use::server), HasSubstr("write [::1]:8080"));
}

TEST(Endpoints, AreCanonical) {
  EXPECT_EQ(text_of("localhost:80", Use::server), "127.0.0.1:80");
  EXPECT_EQ(text_of("LocalHost:80", Use::listen), "127.0.0.1:80");
  EXPECT_EQ(text_of("[0:0:0:0:0:0:0:1]:80", Use::server), "[::1]:80");
  EXPECT_EQ(text_of("[2001:DB8:0:0::00ff]:80", Use::server), "[2001:db8::ff]:80");
  EXPECT_EQ(text_of("[::ffff:127.0.0.1]:80", Use::server), "127.0.0.1:80");
  EXPECT_EQ(text_of("unix://run///a.sock", Use::server), "unix:/run/a.sock");
  EXPECT_EQ(text_of("unix:///run/a.sock", Use::listen), "unix:/run/a.sock");
}

TEST(Endpoints, OfServersMayHaveAScheme) {
  EXPECT_EQ(text_of("http://127.0.0.1:9001", Use::server), "127.0.0.1:9001");
  EXPECT_EQ(text_of("http://127.0.0.1:9001/", Use::server), "127.0.0.1:9001");
  EXPECT_EQ(text_of("HTTP://localhost", Use::server), "127.0.0.1:80");
  EXPECT_EQ(text_of("http://[::1]", Use::server), "[::1]:80");
  EXPECT_EQ(text_of("http://[::1]:9001/", Use::server), "[::1]:9001");
  EXPECT_THAT(text_of("https://127.0.0.1:443", Use::server), HasSubstr("TLS to servers"));
  EXPECT_THAT(text_of("http://127.0.0.1:9001//", Use::server), HasSubstr("only host and port"));
  EXPECT_THAT(text_of("http://u@127.0.0.1:9001", Use::server), HasSubstr("only host and port"));
  EXPECT_THAT(text_of("http://127.0.0.1:9001?x", Use::server), HasSubstr("only host and port"));
  EXPECT_THAT(text_of("http://", Use::server), HasSubstr("refused"));
  EXPECT_THAT(text_of("http:///", Use::server), HasSubstr("refused"));
  EXPECT_THAT(text_of("http://8080", Use::server), HasSubstr("not an IPv4 address"));
  EXPECT_THAT(text_of("://127.0.0.1:80", Use::server), HasSubstr("unknown scheme"));
  EXPECT_THAT(text_of("http://127.0.0.1:80", Use::listen), HasSubstr("to listen on has no"));
}

TEST(Endpoints, HavePortsFrom1To65535) {
  EXPECT_EQ(text_of("1", Use::listen), "0.0.0.0:1");
  EXPECT_EQ(text_of("65535", Use::listen), "0.0.0.0:65535");
  for (const char* port : {"0", "65536", "99999", "4294967377", "18446744073709551697"}) {
    EXPECT_THAT(text_of(port, Use::server), HasSubstr("out of range; use 1 to 65535")) << port;
    EXPECT_THAT(text_of("[::1]:" + std::string(port), Use::server), HasSubstr("out of range"));
  }
  EXPECT_THAT(text_of("127.0.0.1:", Use::server), HasSubstr("port is missing"));
  EXPECT_THAT(text_of(":", Use::server), HasSubstr("port is missing"));
  EXPECT_THAT(text_of("127.0.0.1:+80", Use::server), HasSubstr("not a number"));
  EXPECT_THAT(text_of("127.0.0.1:0x50", Use::server), HasSubstr("not a number"));
  EXPECT_THAT(text_of("127.0.0.1:080", Use::server), HasSubstr("write 80"));
}

TEST(Endpoints, NeedBracketsAroundIpv6) {
  EXPECT_THAT(text_of("::1:8080", Use::listen), HasSubstr("write [::1]:8080"));
  EXPECT_THAT(text_of("::1", Use::listen), HasSubstr("write [::1]:8080"));
  EXPECT_THAT(text_of("2001:db8::1:80", Use::server), HasSubstr("write [2001:db8::1]:80"));
  EXPECT_THAT(text_of("1:2:3", Use::server), HasSubstr("not an address"));
  EXPECT_THAT(text_of("[::1]", Use::server), HasSubstr("port is missing"));
  EXPECT_THAT(text_of("[::1", Use::server), HasSubstr("no closing bracket"));
  EXPECT_THAT(text_of("[]:80", Use::server), HasSubstr("not an IPv6 address"));
  EXPECT_THAT(text_of("[1.2.3.4]:80", Use::server), HasSubstr("write 1.2.3.4:80"));
  EXPECT_THAT(text_of("[fe80::1%eth0]:80", Use::listen), HasSubstr("interface names"));
  EXPECT_THAT(text_of("[::1]:80:90", Use::server), HasSubstr("not a number"));
}

TEST(Endpoints, RefuseEverythingElse) {
  const std::vector<std::string> bad = {"",
                                        " ",
                                        "127.0.0.1",
                                        "1.2.3:80",
                                        "1.2.3.4.5:80",
                                        "256.0.0.1:80",
                                        "01.2.3.4:80",
                                        "127.1:80",
                                        "0x7f.0.0.1:80",
                                        "127.0.0.1 :80",
                                        " 8080",
                                        "8080\n",
                                        "a b:80",
                                        "host:80",
                                        "host",
                                        "-1",
                                        "-1:80",
                                        "224.0.0.1:80",
                                        "255.255.255.255:80",
                                        "[ff02::1]:80",
                                        "unix:",
                                        "unix:a",
                                        "unix:@a",
                                        "unix:/",
                                        "unix:/a/",
                                        "127.0.0.1:80/x",
                                        "127.0.0.1:80;",
                                        "*",
                                        "**:80",
                                        std::string("80\0", 3),
                                        "\xC3\xA9:80",
                                        "8080,9090",
                                        "[::1]:80]",
                                        "127.0.0.1::80"};
  for (const std::string& text : bad) {
    for (Use use : {Use::listen, Use::server, Use::admin}) {
      const auto endpoint = parse_endpoint(text, use);
      ASSERT_FALSE(endpoint) << text;
      EXPECT_FALSE(endpoint.error().what.empty());
      EXPECT_FALSE(endpoint.error().fix.empty()) << text;
    }
  }
}

TEST(Endpoints, OfUnixSocketsFitTheKernel) {
  const std::string longest = "/" + std::string(106, 'a');
  EXPECT_EQ(text_of("unix:" + longest, Use::listen), "unix:" + longest);
  EXPECT_THAT(text_of("unix:" + longest + "a", Use::listen), HasSubstr("at most 107"));
  EXPECT_EQ(parse_endpoint("unix:/a:b@c", Use::server)->host, "/a:b@c");
  EXPECT_EQ(parse_endpoint("unix:/a", Use::server)->port, 0);
}

TEST(BindAddress, IsOneAddressWithoutAPort) {
  EXPECT_EQ(parse_bind_ip("::1", 80)->text(), "[::1]:80");
  EXPECT_EQ(parse_bind_ip("[::1]", 80)->text(), "[::1]:80");
  EXPECT_EQ(parse_bind_ip("0.0.0.0", 80)->text(), "0.0.0.0:80");
  EXPECT_EQ(parse_bind_ip("*", 80)->text(), "0.0.0.0:80");
  EXPECT_EQ(parse_bind_ip("localhost", 80)->text(), "127.0.0.1:80");
  EXPECT_THAT(parse_bind_ip("127.0.0.1:80", 80).error().what, HasSubstr("has a port"));
  for (const char* text : {"", "1.2.3", "host", "::g", "1.2.3.4/8", "unix:/a", "[", "[]"}) {
    EXPECT_FALSE(parse_bind_ip(text, 80)) << text;
  }
}

TEST(Networks, AreAddressesWithAPrefix) {
  const auto ten = parse_network("10.0.0.0/8");
  ASSERT_TRUE(ten);
  EXPECT_EQ(ten->address[0], 10);
  EXPECT_EQ(ten->prefix_bits, 8);
  EXPECT_FALSE(ten->ipv6);
  EXPECT_EQ(parse_network("127.0.0.1")->prefix_bits, 32);
  EXPECT_EQ(parse_network("::1")->prefix_bits, 128);
  EXPECT_EQ(parse_network("0.0.0.0/0")->prefix_bits, 0);
  const auto unique_local = parse_network("fd00::/8");
  ASSERT_TRUE(unique_local);
  EXPECT_TRUE(unique_local->ipv6);
  EXPECT_EQ(unique_local->address[0], 0xFD);
  const auto mapped = parse_network("::ffff:10.0.0.0/104");
  ASSERT_TRUE(mapped);
  EXPECT_FALSE(mapped->ipv6);
  EXPECT_EQ(mapped->prefix_bits, 8);
}

TEST(Networks, RefuseBadPrefixes) {
  EXPECT_EQ(parse_network("10.1.2.3/8").error().fix, "write 10.0.0.0/8");
  EXPECT_EQ(parse_network("2001:db8:1::/33").error().fix, "write 2001:db8::/33");
  EXPECT_TRUE(parse_network("128.0.0.0/1"));
  EXPECT_FALSE(parse_network("64.0.0.0/1"));
  for (const char* text : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8",
                           "10.0.0.0/999999999999", "10.0.0/8", "proxy", "10.0.0.0:80", "*"}) {
    EXPECT_FALSE(parse_network(text)) << text;
  }
}

Endpoint listen(std::string_view text) { return *parse_endpoint(text, Use::listen); }
Endpoint server(std::string_view text) { return *parse_endpoint(text, Use::server); }

TEST(Overlap, IsSymmetricAndPerFamily) {
  const auto both = [](std::string_view a, std::string_view b) {
    EXPECT_EQ(overlaps(listen(a), listen(b)), overlaps(listen(b), listen(a)));
    return overlaps(listen(a), listen(b));
  };
  EXPECT_TRUE(both(":80", "127.0.0.1:80"));
  EXPECT_TRUE(both(":80", "*:80"));
  EXPECT_TRUE(both("[::]:80", "[::1]:80"));
  EXPECT_TRUE(both("unix:/a", "unix:/a"));
  EXPECT_FALSE(both(":80", "[::]:80"));
  EXPECT_FALSE(both(":80", ":81"));
  EXPECT_FALSE(both("127.0.0.1:80", "127.0.0.2:80"));
  EXPECT_FALSE(both("unix:/a", "unix:/b"));
}

TEST(Reaches, FindsTheListenerBehindAServer) {
  EXPECT_TRUE(reaches(server("80"), listen(":80")));
  EXPECT_TRUE(reaches(server("127.9.9.9:80"), listen(":80")));
  EXPECT_TRUE(reaches(server("[::1]:80"), listen("[::]:80")));
  EXPECT_TRUE(reaches(server("10.0.0.1:80"), listen("10.0.0.1:80")));
  EXPECT_TRUE(reaches(server("unix:/a"), listen("unix:/a")));
  EXPECT_FALSE(reaches(server("10.0.0.1:80"), listen(":80")));
  EXPECT_FALSE(reaches(server("81"), listen(":80")));
  EXPECT_FALSE(reaches(server("127.0.0.1:80"), listen("[::]:80")));
  EXPECT_FALSE(reaches(server("127.0.0.1:80"), listen("127.0.0.2:80")));
}

}  // namespace
}  // namespace weir::config
