#include "os/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

namespace weir::os {
namespace {

using namespace std::string_literals;

std::string text_of(const char* literal) {
  Peer peer;
  if (inet_pton(AF_INET, literal, peer.ip.data()) == 1) {
    peer.family = Peer::Family::ipv4;
  } else if (inet_pton(AF_INET6, literal, peer.ip.data()) == 1) {
    peer.family = Peer::Family::ipv6;
  }
  char out[Peer::kTextMax];
  return std::string(peer.text(out));
}

TEST(Address, IPv4LiteralWithPort) {
  const auto address = Address::ip("192.0.2.7", 8080);
  ASSERT_TRUE(address);
  EXPECT_FALSE(address->is_unix());
  EXPECT_FALSE(address->is_ipv6());
  ASSERT_EQ(address->size, sizeof(sockaddr_in));
  sockaddr_in v4{};
  std::memcpy(&v4, address->bytes.data(), sizeof v4);
  EXPECT_EQ(v4.sin_family, AF_INET);
  EXPECT_EQ(ntohs(v4.sin_port), 8080);
  EXPECT_EQ(ntohl(v4.sin_addr.s_addr), 0xC0000207u);
}

TEST(Address, IPv6LiteralWithPort) {
  const auto address = Address::ip("2001:db8::1", 65535);
  ASSERT_TRUE(address);
  EXPECT_TRUE(address->is_ipv6());
  ASSERT_EQ(address->size, sizeof(sockaddr_in6));
  sockaddr_in6 v6{};
  std::memcpy(&v6, address->bytes.data(), sizeof v6);
  EXPECT_EQ(ntohs(v6.sin6_port), 65535);
  EXPECT_EQ(v6.sin6_addr.s6_addr[15], 1);
}

TEST(Address, RefusesWhatIsNotALiteral) {
  const std::string refused[] = {"",          "localhost", "1.2.3",     "1.2.3.4.5",
                                 "1.2.3.256", "01.2.3.4",  " 1.2.3.4",  "1.2.3.4 ",
                                 "[::1]",     "::1]",      ":::",       "1:2:3:4:5:6:7:8:9",
                                 "0x7f.1",    "127.1",     "fe80::1%2", "1.2.3.4\0x"s};
  for (const std::string& literal : refused) EXPECT_FALSE(Address::ip(literal, 1)) << literal;
}

TEST(Address, UnixPathIsKeptWholeUpToItsLimit) {
  const std::string longest(107, 'p');
  const auto address = Address::unix_path(longest);
  ASSERT_TRUE(address);
  EXPECT_TRUE(address->is_unix());
  EXPECT_EQ(address->path.sun_path, longest);
  EXPECT_EQ(address->size, sizeof(sockaddr_un));
  EXPECT_FALSE(Address::unix_path(longest + "p"));
  EXPECT_FALSE(Address::unix_path(""));
  EXPECT_EQ(Address::unix_path("/x")->size, offsetof(sockaddr_un, sun_path) + 3);
}

// A leading zero would mean the abstract namespace, a later one a different file.
TEST(Address, UnixPathRefusesAZeroByte) {
  EXPECT_FALSE(Address::unix_path("\0name"s));
  EXPECT_FALSE(Address::unix_path("/tmp/a\0b"s));
}

TEST(PeerText, WritesEachFamily) {
  EXPECT_EQ(text_of("203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(text_of("255.255.255.255"), "255.255.255.255");
  EXPECT_EQ(text_of("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(text_of("::1"), "::1");
  EXPECT_EQ(text_of("no address"), "");
}

TEST(PeerText, IPv4MappedIsWrittenAsIPv4) {
  EXPECT_EQ(text_of("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(text_of("::fffe:192.0.2.1"), "::fffe:c000:201");
}

TEST(PeerText, TheLongestTextFits) {
  EXPECT_EQ(text_of("1111:2222:3333:4444:5555:6666:7777:8888"),
            "1111:2222:3333:4444:5555:6666:7777:8888");
  char out[Peer::kTextMax + 1];
  std::memset(out, '#', sizeof out);
  Peer peer;
  peer.family = Peer::Family::ipv6;
  std::memset(peer.ip.data(), 0xFF, peer.ip.size());
  EXPECT_EQ(peer.text(out).size(), 39u);
  EXPECT_EQ(out[Peer::kTextMax], '#');
}

TEST(PeerText, IPv4IgnoresTheOtherTwelveBytes) {
  Peer peer;
  peer.family = Peer::Family::ipv4;
  peer.ip.fill(9);
  char out[Peer::kTextMax];
  EXPECT_EQ(peer.text(out), "9.9.9.9");
}

}  // namespace
}  // namespace weir::os
