#include "health/load_report.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/prng.h"

namespace weir::health {
namespace {

constexpr std::uint32_t kMost = 0xFFFF'FFFF;

LoadReport load(std::uint32_t errors, std::uint32_t entries) {
  LoadReport report;
  report.load = ReportedLoad{errors, entries};
  return report;
}

LoadReport wish(Wish told) {
  LoadReport report;
  report.wish = told;
  return report;
}

LoadReport asks(std::optional<std::uint32_t> percent, std::optional<std::uint32_t> maxconn,
                std::optional<Wish> told = std::nullopt) {
  LoadReport report;
  report.percent = percent;
  report.maxconn = maxconn;
  report.wish = told;
  return report;
}

struct Case {
  std::string body;
  LoadReport report;
};

void expect_reports(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto report = parse_load_report(c.body);
    ASSERT_TRUE(report) << testing::PrintToString(c.body);
    EXPECT_EQ(*report, c.report) << testing::PrintToString(c.body);
  }
}

TEST(LoadReport, TwoLines) {
  expect_reports({
      {"0\n0", load(0, 0)},
      {"12\n340", load(12, 340)},
      {"12\n340\n", load(12, 340)},
      {"12\r\n340\r\n", load(12, 340)},
      {"12\r\n340", load(12, 340)},
      {"12\n340\n\n\r\n", load(12, 340)},
      {"007\n0000000000000000000000000000000000001", load(7, 1)},
      {"4294967295\n4294967296", load(kMost, kMost)},
      {"18446744073709551616\n99999999999999999999999999999999", load(kMost, kMost)},
      {std::string(500, '9') + "\n1", load(kMost, 1)},
  });
}

TEST(LoadReport, AgentLine) {
  expect_reports({
      {"75%", asks(75, std::nullopt)},
      {"75%\n", asks(75, std::nullopt)},
      {"75%\r\n", asks(75, std::nullopt)},
      {"0%", asks(0, std::nullopt)},
      {"1000%", asks(1'000, std::nullopt)},
      {"99999999999999999999%", asks(1'000, std::nullopt)},
      {"maxconn:30", asks(std::nullopt, 30)},
      {"MaxConn:0", asks(std::nullopt, 0)},
      {"maxconn:99999999999", asks(std::nullopt, kMost)},
      {"up", wish(Wish::none)},
      {"ready", wish(Wish::none)},
      {"drain", wish(Wish::drain)},
      {"DRAIN\n", wish(Wish::drain)},
      {"maint", wish(Wish::maintenance)},
      {"down", wish(Wish::down)},
      {"fail", wish(Wish::down)},
      {"failed", wish(Wish::down)},
      {"stopped", wish(Wish::down)},
      {"down#the disk is full", wish(Wish::down)},
      {"down # 75% maint", wish(Wish::down)},
      {"up ready", wish(Wish::none)},
      {"drain up", wish(Wish::drain)},
      {"up drain", wish(Wish::drain)},
      {"down maint drain", wish(Wish::maintenance)},
      {"up 75% maxconn:30", asks(75, 30, Wish::none)},
      {" ,\t75%,,maxconn:30, ready ,\r\n\r\n", asks(75, 30, Wish::none)},
  });
}

TEST(LoadReport, Object) {
  expect_reports({
      {R"({"errors":12,"entries":340})", load(12, 340)},
      {" \r\n{ \"entries\" : 340 ,\t\"errors\" : 12 }\n", load(12, 340)},
      {R"({"errors":0,"entries":99999999999999999999})", load(0, kMost)},
      {R"({"weight":75})", asks(75, std::nullopt)},
      {R"({"weight":5000,"maxconn":7})", asks(1'000, 7)},
      {R"({"state":"Drain"})", wish(Wish::drain)},
      {R"({"state":"up","weight":50,"maxconn":0})", asks(50, 0, Wish::none)},
      {R"({"status":"ok, \"fine\" {}","uptime":-1.5e+3,"a":null,"errors":1,"b":true,"entries":2})",
       load(1, 2)},
      {R"({"c":false,"d":0,"e":-0.0,"f":1E5,"errors":1,"":"","entries":2})", load(1, 2)},
      {R"({"\u0065rrors":"no name we know","weight":1})", asks(1, std::nullopt)},
  });
}

void expect_none(const std::vector<std::string>& bodies) {
  for (const std::string& body : bodies) {
    EXPECT_FALSE(parse_load_report(body)) << testing::PrintToString(body);
  }
}

TEST(LoadReport, NothingSaidIsNone) {
  expect_none({
      "",
      "\n",
      "\r\n \t",
      ",",
      "# up",
      "{}",
      R"({"status":"ok"})",
      std::string(1, '\0'),
  });
}

TEST(LoadReport, NearlyTwoLinesAreNone) {
  expect_none({
      "12",
      "12\n",
      "12\n\n340",
      "\n12\n340",
      "12\n340\n5",
      "12\n340x",
      "-1\n2",
      "+1\n2",
      "1.5\n2",
      "0x1\n2",
      "1e3\n2",
      " 1\n2",
      "1 \n2",
      "1 2",
      "1\r2",
      "1\n\r2",
      "1\n2\r\r",
      "1,2",
      "a\nb",
      "1\n2\n" + std::string(1, '\0'),
      "\xEF\xBB\xBF"
      "1\n2",
      "\xD9\xA1\n\xD9\xA2",
  });
}

TEST(LoadReport, NearlyAnAgentLineIsNone) {
  expect_none({
      "75",
      "%",
      "-5%",
      "7 5 %",
      "75%%",
      "75.5%",
      "75% 50%",
      "maxconn:",
      "maxconn",
      "maxconn:x",
      "maxconn:-1",
      "maxconn:1 maxconn:2",
      "maxconn: 30",
      "upp",
      "u",
      "up!",
      "up\n75%",
      "\nup",
      "up\rdown",
      "up;down",
      "weight:75%",
      "OK",
      "<html><body>404 Not Found</body></html>",
      "Not Found\n",
      "up\x01",
      std::string("up\0", 3),
  });
}

TEST(LoadReport, NearlyAnObjectIsNone) {
  expect_none({
      "{",
      "}",
      "{}{}",
      "[]",
      R"([{"errors":1,"entries":2}])",
      R"({"errors":1})",
      R"({"entries":1})",
      R"({"errors":"1","entries":2})",
      R"({"errors":-1,"entries":2})",
      R"({"errors":1.5,"entries":2})",
      R"({"errors":1e3,"entries":2})",
      R"({"errors":01,"entries":2})",
      R"({"errors":+1,"entries":2})",
      R"({"errors":null,"entries":2})",
      R"({"errors":1,"errors":1,"entries":2})",
      R"({"errors":1,"entries":2)",
      R"({"errors":1,"entries":2,})",
      R"({"errors":1 "entries":2})",
      R"({,"errors":1,"entries":2})",
      R"({"errors":1,"entries":2}x)",
      R"({"errors":1,"entries":2}{})",
      R"({errors:1,entries:2})",
      R"({'errors':1,'entries':2})",
      R"({"errors":1,"entries":2,"x":{}})",
      R"({"errors":1,"entries":2,"x":[]})",
      R"({"errors":1,"entries":2,"x":})",
      R"({"errors":1,"entries":2,"x":tru})",
      R"({"errors":1,"entries":2,"x":nullx})",
      R"({"errors":1,"entries":2,"x":1.})",
      R"({"errors":1,"entries":2,"x":.5})",
      R"({"errors":1,"entries":2,"x":- 1})",
      R"({"errors":1,"entries":2,"x":1e})",
      R"({"errors":1,"entries":2,"x":00})",
      R"({"errors":1,"entries":2,"x":"open})",
      R"({"errors":1,"entries":2,"x":"12})",
      R"({"errors":1,"entries":2,"x":"\)",
      R"({"errors":1,"entries":2,"x":"\"})",
      "{\"errors\":1,\"entries\":2,\"x\":\"\n\"}",
      "{\"x\":\"\\\n\",\"weight\":1}",
      R"({"x":"\q","weight":1})",
      R"({"weight":"75%"})",
      R"({"weight":-1})",
      R"({"weight":1,"weight":2})",
      R"({"maxconn":1,"maxconn":1})",
      R"({"state":"sleepy"})",
      R"({"state":""})",
      R"({"state":1})",
      R"({"state":"up","state":"up"})",
      R"({"state"})",
      std::string("{\"weight\":1}\0", 13),
      "{\"weight\":1}\v",
  });
}

// A body that is cut off would say something else.
TEST(LoadReport, LongerThanTheMostIsNone) {
  std::string body = "1\n2";
  body.append(kReportBytesMax - body.size(), '\n');
  EXPECT_EQ(parse_load_report(body), load(1, 2));
  EXPECT_FALSE(parse_load_report(body + "\n"));
}

// Bodies made of the parser's own pieces: no crash (under the sanitizers), and what is told is
// within its bounds.
TEST(LoadReport, RandomPieces) {
  const std::vector<std::string> pieces = {
      "{", "}", "\"",  ":",  ",",    "\"errors\"", "\"entries\"", "\"state\"",   "\"up\"",
      "1", "0", "99%", "\n", " ",    "\r",         "maxconn:",    "drain",       "\\",
      "-", ".", "e",   "#",  "true", "",           "\0",          "\"weight\":7"};
  Prng prng(13);
  int told = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string body = prng.bounded(2) == 0 ? "{" : "";
    for (std::uint64_t left = prng.bounded(12); left > 0; --left) {
      body += pieces[prng.bounded(pieces.size())];
    }
    const std::vector<char> exact(body.begin(), body.end());  // Sanitizers see a read past it.
    const auto parsed = parse_load_report({exact.data(), exact.size()});
    if (!parsed) continue;
    ++told;
    EXPECT_NE(*parsed, LoadReport{}) << body;
    EXPECT_LE(parsed->percent.value_or(0), LoadReport::kPercentMax);
  }
  EXPECT_GT(told, 1'000);
}

}  // namespace
}  // namespace weir::health
