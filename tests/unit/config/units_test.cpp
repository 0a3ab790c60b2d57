#include "config/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(Durations, HaveUnits) {
  EXPECT_EQ(parse_duration("250ms"), Milliseconds{250});
  EXPECT_EQ(parse_duration("5s"), seconds{5});
  EXPECT_EQ(parse_duration("2m"), minutes{2});
  EXPECT_EQ(parse_duration("2h"), hours{2});
  EXPECT_EQ(parse_duration("0s"), Milliseconds{0});
  EXPECT_EQ(parse_duration("007s"), seconds{7});
}

TEST(Durations, MayBeComposedFromLargeToSmall) {
  EXPECT_EQ(parse_duration("1m30s"), seconds{90});
  EXPECT_EQ(parse_duration("1h2m3s4ms"), hours{1} + minutes{2} + seconds{3} + Milliseconds{4});
  EXPECT_EQ(parse_duration("1s5ms"), Milliseconds{1005});
  EXPECT_FALSE(parse_duration("30s1m"));
  EXPECT_FALSE(parse_duration("1s1s"));
  EXPECT_FALSE(parse_duration("1ms1s"));
}

TEST(Durations, EndAtOneDay) {
  EXPECT_EQ(parse_duration("24h"), kDurationMax);
  EXPECT_EQ(parse_duration("86400s"), kDurationMax);
  EXPECT_EQ(parse_duration("23h59m60s"), kDurationMax);
  EXPECT_FALSE(parse_duration("24h1ms"));
  EXPECT_FALSE(parse_duration("86400001ms"));
  EXPECT_FALSE(parse_duration("18446744073709551616ms"));
  EXPECT_FALSE(parse_duration("5124095576030431h"));  // Wraps to something small in 64 bits.
  EXPECT_FALSE(parse_duration(std::string(100'000, '9') + "s"));
}

TEST(Durations, SayWhatToWriteInstead) {
  EXPECT_EQ(parse_duration("5").error().sentence(), "`5` has no unit; write \"5s\" or \"5ms\"");
  EXPECT_THAT(parse_duration("5sec").error().fix, HasSubstr("\"5s\""));
  EXPECT_THAT(parse_duration("2min").error().fix, HasSubstr("\"2m\""));
  EXPECT_THAT(parse_duration("1hour").error().fix, HasSubstr("\"1h\""));
  EXPECT_THAT(parse_duration("5S").error().fix, HasSubstr("\"5s\""));
  EXPECT_THAT(parse_duration("5d").error().fix, HasSubstr("units are"));
  EXPECT_THAT(parse_duration("1.5s").error().fix, HasSubstr("smaller unit"));
  EXPECT_THAT(parse_duration("5 s").error().what, HasSubstr("space"));
  EXPECT_THAT(parse_duration("-5s").error().what, HasSubstr("negative"));
  EXPECT_THAT(parse_duration("").error().what, HasSubstr("empty"));
  EXPECT_THAT(parse_duration("  ").error().what, HasSubstr("empty"));
}

TEST(Durations, RefuseEverythingElse) {
  for (const char* text : {"s", "ms5", "5s5", "+5s", "5s ", "5us", "5\xC2\xB5s", "0x5s", "5ss",
                           "inf", "5e3s", "5m s", "5\n"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Durations, MayHaveAnotherEnd) {
  EXPECT_EQ(parse_duration("48h", hours{48}), hours{48});
  EXPECT_EQ(parse_duration("48h1ms", hours{48}).error().fix, "the most is \"48h\"");
}

TEST(Rates, AreACountAndATime) {
  EXPECT_EQ(parse_rate("100/s"), (Rate{100, seconds{1}}));
  EXPECT_EQ(parse_rate("600/min"), (Rate{600, minutes{1}}));
  EXPECT_EQ(parse_rate("600/m"), (Rate{600, minutes{1}}));
  EXPECT_EQ(parse_rate("5/h"), (Rate{5, hours{1}}));
  EXPECT_EQ(parse_rate("100/10s"), (Rate{100, seconds{10}}));
  EXPECT_EQ(parse_rate("1/1m30s"), (Rate{1, seconds{90}}));
  EXPECT_EQ(parse_rate("10000000/ms"), (Rate{kRateMax, Milliseconds{1}}));
}

TEST(Rates, RefuseEverythingElse) {
  for (const char* text :
       {"",      "/",       "100",    "100/",   "/s",     "0/s",        "-1/s",
        "1.5/s", "100 /s",  "100/ s", "100/0s", "100r/s", "10000001/s", "99999999999999999999/s",
        "1/25h", "100/sec", "100/d",  "1/s/s",  "+1/s",   "1/-1s"}) {
    const auto rate = parse_rate(text);
    ASSERT_FALSE(rate) << text;
    EXPECT_FALSE(rate.error().fix.empty()) << text;
  }
}

}  // namespace
}  // namespace weir::config
