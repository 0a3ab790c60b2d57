#include "proxy/request_key.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace weir::proxy {
namespace {

TEST(FindParameter, OddInputs) {
  const auto find = [](std::string_view query) { return find_parameter(query, "k"); };
  EXPECT_EQ(find(""), std::nullopt);
  EXPECT_EQ(find("?"), std::nullopt);
  EXPECT_EQ(find("?&&&"), std::nullopt);
  EXPECT_EQ(find("?k"), std::nullopt) << "no value";
  EXPECT_EQ(find("?k="), "");
  EXPECT_EQ(find("?k=&k=2"), "");
  EXPECT_EQ(find("?k=1"), "1");
  EXPECT_EQ(find("k=1"), "1");
  EXPECT_EQ(find("?a=1&k=2&k=3"), "2");
  EXPECT_EQ(find("?k&k=2"), "2");
  EXPECT_EQ(find("?kk=1&xk=2&K=3"), std::nullopt);
  EXPECT_EQ(find("?a=k=1&k=2"), "2");
  EXPECT_EQ(find("?k=a=b?c"), "a=b?c");
  EXPECT_EQ(find("?k=%41+b"), "%41+b") << "as it was sent";
  EXPECT_EQ(find("??k=1&k=2"), "2") << "the second question mark is part of a name";
}

TEST(AddressBytes, AreTheAddressAlone) {
  os::Peer peer{.ip = {192, 0, 2, 7, 9, 9}, .port = 80, .family = os::Peer::Family::ipv4};
  EXPECT_EQ(address_bytes(peer), std::string_view("\xc0\x00\x02\x07", 4));
  peer.family = os::Peer::Family::ipv6;
  EXPECT_EQ(address_bytes(peer).size(), 16u);
  EXPECT_EQ(address_bytes(peer).substr(0, 6), std::string_view("\xc0\x00\x02\x07\x09\x09", 6));
  peer.family = os::Peer::Family::none;
  EXPECT_TRUE(address_bytes(peer).empty());
}

class RequestKeyTest : public testing::Test {
 protected:
  void receive(std::string head) {
    bytes = std::move(head);
    parser.begin(http::HeadParser::Mode::request, {});
    ASSERT_EQ(parser.parse(bytes.data(), bytes.size()), http::ParseStatus::complete);
    const auto analysed = http::analyse_request(parser);
    ASSERT_TRUE(analysed);
    info = *analysed;
  }
  std::optional<std::string_view> value(upstream::HashSource source, const std::string& key = "") {
    upstream::BackendPlan plan;
    plan.hash_source = source;
    plan.hash_key = key;
    return hash_value(plan, parser, info);
  }

  std::string bytes;
  http::HeadParser parser;
  http::RequestInfo info;
};

using Source = upstream::HashSource;

TEST_F(RequestKeyTest, EverySourceIsRead) {
  receive("GET /a/b?user=7&x HTTP/1.1\r\nHost: h\r\nX-User: 8\r\nCookie: c=9\r\n\r\n");
  EXPECT_EQ(value(Source::none), std::nullopt);
  EXPECT_EQ(value(Source::address), std::nullopt);
  EXPECT_EQ(value(Source::uri), "/a/b?user=7&x");
  EXPECT_EQ(value(Source::header, "x-user"), "8");
  EXPECT_EQ(value(Source::query, "user"), "7");
  EXPECT_EQ(value(Source::cookie, "c"), "9");
}

TEST_F(RequestKeyTest, WhatIsNotThereIsEmpty) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nX-Users: 8\r\n\r\n");
  EXPECT_EQ(value(Source::uri), "/");
  EXPECT_EQ(value(Source::header, "x-user"), std::nullopt);
  EXPECT_EQ(value(Source::query, "user"), std::nullopt);
  EXPECT_EQ(value(Source::cookie, "c"), std::nullopt);
}

TEST_F(RequestKeyTest, AnEmptyValueIsAValue) {
  receive("GET /?user= HTTP/1.1\r\nHost: h\r\nX-User:\r\nCookie: c=\r\n\r\n");
  EXPECT_EQ(value(Source::header, "x-user"), "");
  EXPECT_EQ(value(Source::query, "user"), "");
  EXPECT_EQ(value(Source::cookie, "c"), "");
}

TEST_F(RequestKeyTest, TheFirstOfSeveralFieldsCounts) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nX-User: 1\r\nx-user: 2\r\n\r\n");
  EXPECT_EQ(value(Source::header, "x-user"), "1");
}

TEST_F(RequestKeyTest, ACookieMayBeInAnyCookieField) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\nCOOKIE: b=2; c=3\r\nCookie: c=4\r\n\r\n");
  EXPECT_EQ(value(Source::cookie, "c"), "3");
}

TEST_F(RequestKeyTest, TheTargetOfEveryForm) {
  receive("GET http://h/x?y HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(value(Source::uri), "/x?y") << "as in origin form";
  receive("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(value(Source::uri), "*");
}

}  // namespace
}  // namespace weir::proxy
