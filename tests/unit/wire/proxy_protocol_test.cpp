#include "wire/proxy_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "../http/vectors.h"
#include "wire/ip_text.h"

namespace weir::wire {
namespace {

using http::test::Case;
using http::test::escape;
using Family = ProxyAddress::Family;
using Status = ProxyParse::Status;

// --- Reading

std::string to_text(const ProxyAddress& address) {
  char out[kIpTextMax];
  const auto write = address.family == Family::ipv4 ? write_ipv4 : write_ipv6;
  return std::string(out, write(out, address.ip)) + " " + std::to_string(address.port);
}

std::string to_text(const ProxyHeader& header) {
  if (header.command == ProxyCommand::local) return "local";
  if (header.source.family == Family::none) return "unknown";
  const char* family = header.source.family == Family::ipv4 ? "ipv4 " : "ipv6 ";
  return family + to_text(header.source) + " " + to_text(header.destination);
}

std::vector<std::string> to_lines(const ProxyParse& parse, const ProxyHeader& header,
                                  std::size_t decided_at) {
  switch (parse.status) {
    case Status::need_more: return {"need_more"};
    case Status::none: return {"none at " + std::to_string(decided_at)};
    case Status::error:
      return {"error " + std::string(to_string(parse.error)) + " at " + std::to_string(decided_at)};
    case Status::complete: break;
  }
  EXPECT_EQ(parse.size, decided_at) << "looked at more or less than the header";
  std::vector<std::string> lines = {"complete " + std::to_string(parse.size), to_text(header)};
  std::string_view rest = header.tlvs;
  while (const auto tlv = next_tlv(rest)) {
    lines.push_back("tlv " + std::to_string(tlv->type));
    if (!tlv->value.empty()) lines.back() += " " + escape(tlv->value);
  }
  EXPECT_EQ(rest, "");
  return lines;
}

// The answer to the first `size` bytes, which are all there is to be read.
std::pair<ProxyParse, ProxyHeader> parse_first(const std::string& bytes, std::size_t size) {
  const auto block = std::make_unique<char[]>(size);
  bytes.copy(block.get(), size);
  std::pair<ProxyParse, ProxyHeader> out;
  out.first = parse_proxy_header({block.get(), size}, out.second);
  // Shown where the caller's bytes are, which outlive this function.
  if (!out.second.tlvs.empty()) {
    const auto at = static_cast<std::size_t>(out.second.tlvs.data() - block.get());
    out.second.tlvs = std::string_view(bytes).substr(at, out.second.tlvs.size());
  }
  return out;
}

TEST(ProxyHeaders, Vectors) {
  const auto cases = http::test::read_cases("../wire/proxy_headers.txt");
  EXPECT_GE(cases.size(), 80U);
  for (const Case& vector : cases) {
    SCOPED_TRACE(vector.where + ": " + vector.name);
    const auto [whole, header] = parse_first(vector.in, vector.in.size());
    std::size_t decided_at = 0;
    while (parse_first(vector.in, decided_at).first.status == Status::need_more &&
           decided_at < vector.in.size()) {
      ++decided_at;
    }
    EXPECT_THAT(to_lines(whole, header, decided_at), testing::ElementsAreArray(vector.expected));
    for (std::size_t size = decided_at; size < vector.in.size(); ++size) {
      const auto [parse, of_less] = parse_first(vector.in, size);
      ASSERT_EQ(parse, whole) << size << " bytes";
      if (parse.status == Status::complete) {
        ASSERT_EQ(of_less, header) << size << " bytes";
      }
    }
  }
}

TEST(ProxyHeaders, PrefixTellsWhetherOneBegins) {
  using enum ProxyPrefix;
  EXPECT_EQ(proxy_prefix(""), open);
  EXPECT_EQ(proxy_prefix("PROXY"), open);
  EXPECT_EQ(proxy_prefix("PROXY "), yes);
  EXPECT_EQ(proxy_prefix("PROXY nonsense"), yes);
  EXPECT_EQ(proxy_prefix("PROXYING"), no);
  EXPECT_EQ(proxy_prefix("\r\n"), open);
  EXPECT_EQ(proxy_prefix({"\r\n\r\n\0\r\nQUIT\n", 12}), yes);
  EXPECT_EQ(proxy_prefix({"\r\n\r\n\0\r\nQUIT\n", 11}), open);
  EXPECT_EQ(proxy_prefix("\r\n\r\nPROXY "), no);
  EXPECT_EQ(proxy_prefix(" PROXY "), no);
}

TEST(ProxyErrors, WordsAreTheirOwn) {
  std::vector<std::string_view> words;
  for (std::size_t i = 1; i < kProxyErrorCount; ++i) {
    const ProxyErrorInfo& row = info(static_cast<ProxyError>(i));
    EXPECT_TRUE(row.word.starts_with("proxy_")) << row.word;
    EXPECT_TRUE(row.text.ends_with(".")) << row.text;
    EXPECT_THAT(words, testing::Not(testing::Contains(row.word)));
    words.push_back(row.word);
  }
}

// --- Writing

ProxyAddress address_of(std::string_view ip, std::uint16_t port) {
  if (const auto ipv4 = parse_ipv4(ip)) return {*ipv4, port, Family::ipv4};
  const auto ipv6 = parse_ipv6(ip);
  EXPECT_TRUE(ipv6.has_value()) << ip;
  return {*ipv6, port, Family::ipv6};
}

ProxyHeader header_of(std::string_view source, std::string_view destination,
                      std::string_view tlvs = {}) {
  return {ProxyCommand::proxy, address_of(source, 40000), address_of(destination, 443), tlvs};
}

std::string written_v1(const ProxyHeader& header) {
  char out[kProxyV1BytesMax];
  return {out, write_proxy_v1(out, header)};
}

std::string written_v2(const ProxyHeader& header) {
  char out[kProxyV2BytesMax];
  return {out, write_proxy_v2(out, header)};
}

ProxyHeader read_whole(const std::string& bytes) {
  ProxyHeader header;
  const ProxyParse parse = parse_proxy_header(bytes, header);
  EXPECT_EQ(parse.status, Status::complete) << to_string(parse.error);
  EXPECT_EQ(parse.size, bytes.size());
  return header;
}

std::string_view bytes_of(const char* literal, std::size_t size) { return {literal, size}; }

TEST(ProxyWriter, Version1) {
  EXPECT_EQ(written_v1(header_of("192.0.2.1", "198.51.100.7")),
            "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n");
  EXPECT_EQ(written_v1(header_of("2001:db8::1", "::1")),
            "PROXY TCP6 2001:db8::1 ::1 40000 443\r\n");
  EXPECT_EQ(written_v1({}), "PROXY UNKNOWN\r\n");
}

TEST(ProxyWriter, Version2) {
  const std::string_view signature = bytes_of("\r\n\r\n\0\r\nQUIT\n", 12);
  EXPECT_EQ(escape(written_v2(header_of("192.0.2.1", "198.51.100.7", {"\xe0\0\1x", 4}))),
            escape(std::string(signature) +
                   std::string(bytes_of("!\x11\0\x10\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\1\xbb", 16)) +
                   std::string(bytes_of("\xe0\0\1x", 4))));
  EXPECT_EQ(written_v2(header_of("::1", "::1")).substr(12, 4), bytes_of("!!\0\x24", 4));
  EXPECT_EQ(written_v2({}).substr(12), bytes_of("!\0\0\0", 4));
  ProxyHeader check = header_of("192.0.2.1", "198.51.100.7", {"\xe0\0\1x", 4});
  check.command = ProxyCommand::local;
  EXPECT_EQ(written_v2(check).substr(12), bytes_of(" \0\0\0", 4)) << "a health check has no client";
  EXPECT_EQ(written_v1(check), "PROXY UNKNOWN\r\n");
}

TEST(ProxyWriter, WhatIsReadAgainIsTheSame) {
  for (const auto& header :
       {header_of("0.0.0.0", "255.255.255.255"), header_of("::", "ffff::ffff"),
        header_of("2001:db8:1:2:3:4:5:6", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ProxyHeader{}}) {
    EXPECT_EQ(read_whole(written_v1(header)), header);
    EXPECT_EQ(read_whole(written_v2(header)), header);
  }
  EXPECT_EQ(read_whole(written_v2({ProxyCommand::local, {}, {}, {}})).command, ProxyCommand::local);
}

// Byte for byte, checksum included.
TEST(ProxyWriter, WritesWhatHaproxyWrites) {
  int written = 0;
  for (const Case& vector : http::test::read_cases("../wire/proxy_headers.txt")) {
    if (!vector.name.ends_with("as haproxy 2.6 writes them")) continue;
    EXPECT_EQ(escape(written_v2(read_whole(vector.in))), escape(vector.in)) << vector.where;
    ++written;
  }
  EXPECT_EQ(written, 2);
}

// Specification 2.1: 104 bytes.
TEST(ProxyWriter, LongestLine) {
  ProxyHeader header = header_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  header.source.port = header.destination.port = 65535;
  EXPECT_EQ(written_v1(header).size(), 104U);
  EXPECT_EQ(read_whole(written_v1(header)), header);
}

TEST(ProxyWriter, TwoFamiliesBecomeOne) {
  EXPECT_EQ(written_v1(header_of("::ffff:192.0.2.1", "::ffff:198.51.100.7")),
            "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n");
  EXPECT_EQ(written_v1(header_of("192.0.2.1", "2001:db8::1")),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 40000 443\r\n");
  EXPECT_EQ(written_v1(header_of("2001:db8::1", "192.0.2.1")),
            "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 40000 443\r\n");
  EXPECT_EQ(read_whole(written_v2(header_of("::ffff:192.0.2.1", "198.51.100.7"))),
            header_of("192.0.2.1", "198.51.100.7"));
  ProxyHeader half = header_of("192.0.2.1", "192.0.2.2");
  half.destination = {};
  EXPECT_EQ(written_v1(half), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(read_whole(written_v2(half)), ProxyHeader{});
}

// Behind another address the old checksum would be wrong.
TEST(ProxyWriter, ChecksumIsMadeAnew) {
  const std::string tlvs(bytes_of("\xe0\0\1x\3\0\4abcd\4\0\0", 14));
  const std::string written = written_v2(header_of("2001:db8::1", "::1", tlvs));
  const ProxyHeader header = read_whole(written);
  EXPECT_EQ(header.tlvs.substr(0, 7), tlvs.substr(0, 7));
  EXPECT_NE(header.tlvs.substr(7, 4), "abcd");
  EXPECT_EQ(header.tlvs.substr(11), tlvs.substr(11));
  EXPECT_EQ(written_v2(header), written);
}

TEST(ProxyWriter, ValuesThatDoNotFitAreLeftOut) {
  std::string tlvs = std::string(bytes_of("\4\x0f\xf1", 3)) + std::string(0xff1, 'x');
  EXPECT_EQ(tlvs.size() + 12, kProxyV2BlockMax);
  EXPECT_EQ(written_v2(header_of("192.0.2.1", "192.0.2.2", tlvs)).size(), kProxyV2BytesMax);
  EXPECT_EQ(written_v2(header_of("::1", "::2", tlvs)).size(), 16U + 36U);
  EXPECT_EQ(read_whole(written_v2(header_of("192.0.2.1", "192.0.2.2", tlvs))).tlvs, tlvs);
}

}  // namespace
}  // namespace weir::wire
