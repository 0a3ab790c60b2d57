// Runs every vector of messages: whole, cut in two at every byte, and byte by byte. All ways must
// give the same transcript (RFC 9112 2.2), and it must hold what the vector expects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transcript.h"
#include "vectors.h"

namespace weir::http::test {
namespace {

using Lines = std::vector<std::string>;

MessageKind kind_of(const Case& vector, HeadParser::Mode mode) {
  MessageKind kind;
  kind.mode = mode;
  kind.body_only = vector.has("chunked-body");
  kind.request_method = method_id(vector.option("method", "GET"));
  kind.upgrades = vector.list("upgrade");
  kind.limits.head_bytes_max = static_cast<std::uint16_t>(vector.number("head-max", 16384));
  kind.limits.target_bytes_max = static_cast<std::uint16_t>(vector.number("target-max", 8192));
  kind.limits.fields_max = static_cast<std::uint16_t>(vector.number("fields-max", 100));
  kind.extension_bytes_max = vector.number("extension-max", kChunkExtensionBytesMax);
  return kind;
}

// An expected error may say after how many bytes it must be raised: "error bare_lf at 15".
void check_expected(const Case& vector, const Lines& lines, std::size_t failed_at) {
  ASSERT_FALSE(vector.expected.empty());
  const std::string& first = vector.expected.front();
  if (!first.starts_with("error ")) {
    EXPECT_THAT(lines, testing::IsSupersetOf(vector.expected));
    for (const std::string& word : vector.list("none")) {
      EXPECT_THAT(lines, testing::Each(testing::Not(testing::StartsWith(word))));
    }
    return;
  }
  const std::size_t at = first.find(" at ");
  EXPECT_THAT(lines, testing::ElementsAre(first.substr(0, at)));
  if (at != std::string::npos) {
    EXPECT_EQ(failed_at, std::stoul(first.substr(at + 4)));
  }
}

// All places of ordinary messages. Those of many kilobytes are one byte over and over, so their
// beginning, their end and a sample do.
bool is_worth_cutting(std::size_t cut, std::size_t size) {
  return size < 2048 || cut < 64 || size - cut < 64 || cut % 61 == 0;
}

void check_case(const Case& vector, HeadParser::Mode mode) {
  SCOPED_TRACE(vector.where + ": " + vector.name);
  const MessageKind kind = kind_of(vector, mode);
  Lines whole = read_in_pieces(kind, vector.in, {});
  std::vector<std::size_t> every;
  for (std::size_t cut = 1; cut < vector.in.size(); ++cut) {
    every.push_back(cut);
    if (!is_worth_cutting(cut, vector.in.size())) continue;
    ASSERT_EQ(read_in_pieces(kind, vector.in, {cut}), whole) << "cut in two at " << cut;
  }
  std::size_t failed_at = 0;
  ASSERT_EQ(read_in_pieces(kind, vector.in, every, &failed_at), whole) << "byte by byte";
  check_expected(vector, whole, failed_at);
}

void check_file(std::string_view file, HeadParser::Mode mode, std::size_t cases_min) {
  const auto cases = read_cases(file);
  EXPECT_GE(cases.size(), cases_min);
  for (const Case& vector : cases) check_case(vector, mode);
}

TEST(Vectors, RequestHeads) { check_file("request_heads.txt", HeadParser::Mode::request, 60); }
TEST(Vectors, Hosts) { check_file("hosts.txt", HeadParser::Mode::request, 20); }
TEST(Vectors, RequestFraming) { check_file("request_framing.txt", HeadParser::Mode::request, 40); }
TEST(Vectors, Tunnels) { check_file("tunnels.txt", HeadParser::Mode::request, 40); }
TEST(Vectors, ResponseHeads) { check_file("responses.txt", HeadParser::Mode::response, 40); }
TEST(Vectors, Chunked) { check_file("chunked.txt", HeadParser::Mode::request, 30); }

}  // namespace
}  // namespace weir::http::test
