#include "proxy/access_log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/prng.h"

namespace weir::proxy {
namespace {

using nlohmann::json;

class AccessLogTest : public testing::Test {
 protected:
  // The line, without its line end.
  [[nodiscard]] std::string line() {
    net::Buffer buffer;
    EXPECT_TRUE(buffer.lease(pool));
    log_request(buffer, request);
    log_outcome(buffer, outcome);
    std::string text(buffer.readable());
    EXPECT_EQ(text.find('\n'), text.size() - 1) << "one line, and whole";
    text.pop_back();
    return text;
  }
  [[nodiscard]] json parsed() {
    const std::string text = line();
    json value = json::parse(text, nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << text;
    return value;
  }

  net::BufferPool pool;
  LoggedRequest request;
  LoggedOutcome outcome;
};

TEST_F(AccessLogTest, ShowsEverythingThatIsKnown) {
  request = {1'785'542'399'123'456'789,
             "192.0.2.7",
             40'001,
             "web",
             "GET",
             "a.example",
             "/x",
             "?q=1",
             "curl/8",
             "1.1"};
  outcome = {502,
             "upstream_protocol",
             "bad_status",
             "line 7",
             "app",
             "127.0.0.1:9001",
             1'500'042,
             7'000,
             2'000'001,
             3,
             10,
             20,
             2,
             true,
             true};
  EXPECT_EQ(line(),
            R"({"ts":"2026-07-31T23:59:59.123456Z","client":"192.0.2.7","client_port":40001,)"
            R"("listener":"web","method":"GET","host":"a.example","path":"/x","query":"q=1",)"
            R"("proto":"1.1","ua":"curl/8","status":502,"error":"upstream_protocol",)"
            R"("rule":"bad_status","route":"line 7","backend":"app","server":"127.0.0.1:9001",)"
            R"("dur":1.500042,"t_queue":0.007000,"t_connect":2.000001,"t_ttfb":0.000003,)"
            R"("reused":true,"rx":10,"tx":20,)"
            R"("attempts":2})");
}

TEST_F(AccessLogTest, LeavesAwayWhatThereIsNot) {
  request.wall_clock_ns = 0;
  request.proto = "1.0";
  EXPECT_EQ(line(),
            R"({"ts":"1970-01-01T00:00:00.000000Z","client":"","client_port":0,"listener":"",)"
            R"("method":"","host":"","path":"","proto":"1.0","status":0,"dur":0.000000,)"
            R"("rx":0,"tx":0,"attempts":0})");
}

TEST_F(AccessLogTest, LeapDaysAndYearEnds) {
  request.wall_clock_ns = 1'709'164'800'000'000'000;
  EXPECT_EQ(parsed()["ts"], "2024-02-29T00:00:00.000000Z");
  request.wall_clock_ns = 4'102'444'799'999'999'999;
  EXPECT_EQ(parsed()["ts"], "2099-12-31T23:59:59.999999Z");
}

TEST_F(AccessLogTest, EveryByteBecomesValidJson) {
  for (int value = 0; value < 256; ++value) {
    const std::string text = std::string("a") + static_cast<char>(value) + "z";
    request.path = request.user_agent = request.host = text;
    const json path = parsed()["path"];
    // A byte is shown as the character of that number, in UTF-8.
    std::string expected = "a";
    if (value < 0x80) {
      expected += static_cast<char>(value);
    } else {
      expected += static_cast<char>(0xc0 | value >> 6);
      expected += static_cast<char>(0x80 | (value & 0x3f));
    }
    EXPECT_EQ(path, expected + "z") << value;
  }
}

TEST_F(AccessLogTest, HostileTextsStayInsideTheirQuotes) {
  const std::vector<std::string> texts = {"\",\"status\":200,\"x\":\"",
                                          "\\",
                                          "\\\"",
                                          "\\u0022",
                                          "a\nb\r\n{\"forged\":true}",
                                          std::string("\0\0", 2),
                                          "\xff\xfe\xc3",
                                          "\xe2\x80\xa8",
                                          "</script>",
                                          std::string(50, '"')};
  outcome.status = 404;
  for (const std::string& text : texts) {
    request.path = request.user_agent = request.method = text;
    const std::string query = "?" + text;
    request.query = query;
    const json value = parsed();
    EXPECT_EQ(value["status"], 404) << text;
    EXPECT_FALSE(value.contains("forged"));
    EXPECT_EQ(value["path"], value["query"]);
  }
}

// The longest values a client can bring about: each is cut, the line stays within its block, and it
// is valid wherever the cut falls.
TEST_F(AccessLogTest, LongValuesAreCutAndTheLineIsBounded) {
  for (const std::string unit : {"a", "\"", "\x01", "\xff"}) {
    std::string target;
    while (target.size() < 8'192) target += unit;
    const std::string query = "?" + target;
    const std::string user_agent = target + target;
    const std::string method(64, 'M');
    const std::string host(255, 'h');
    const std::string name(64, 'n');
    const std::string server(120, 's');
    request = {UINT64_MAX, std::string_view("2001:0db8:0000:0000:0000:0000:0000:0001"),
               65'535,     name,
               method,     host,
               target,     query,
               user_agent, "1.1"};
    outcome = {599,        name,       name,       name,       name,       server,     UINT64_MAX,
               UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, true};
    const std::string text = line();
    EXPECT_LE(text.size(), net::kBlockBytes);
    const json value = json::parse(text, nullptr, false);
    ASSERT_FALSE(value.is_discarded()) << unit;
    EXPECT_TRUE(value["path"].get<std::string>().ends_with("...")) << unit;
    EXPECT_TRUE(value["ua"].get<std::string>().ends_with("..."));
    EXPECT_EQ(value["attempts"], UINT32_MAX) << "the end of the line always has room";
  }
}

TEST_F(AccessLogTest, RandomBytesAreAlwaysValid) {
  Prng prng(20'261'121);
  for (int round = 0; round < 2'000; ++round) {
    std::string text(prng.bounded(300), '\0');
    for (char& byte : text) byte = static_cast<char>(prng());
    request.path = request.host = request.user_agent = request.query = text;
    const json value = parsed();
    EXPECT_TRUE(value.is_object());
  }
}

// Without a request head, e.g. after an error in it, the line still says what is known.
TEST_F(AccessLogTest, NoAttemptNoAttemptTimes) {
  outcome.status = 400;
  outcome.error = "bad_method";
  const json value = parsed();
  EXPECT_EQ(value["error"], "bad_method");
  EXPECT_FALSE(value.contains("t_connect"));
  EXPECT_FALSE(value.contains("reused"));
}

}  // namespace
}  // namespace weir::proxy
