#include "health/silence.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::health {
namespace {

constexpr SilenceSettings kSettings{};
constexpr std::uint64_t kNow = 1'000'000;

// Answered last this long ago, and has had so many unanswered requests since.
Silence silent_for(std::uint64_t ms, std::uint64_t unanswered = 5) {
  Silence silence;
  silence.look(unanswered, kNow - ms, kNow - ms, kSettings);
  silence.look(unanswered, kNow - ms, kNow, kSettings);
  return silence;
}

// Answers at this moment.
Silence speaking(std::uint64_t unanswered = 2) {
  Silence silence;
  silence.look(unanswered, kNow, kNow, kSettings);
  return silence;
}

// A server with 100 quick answers of late.
Listened listened(Silence silence, std::uint64_t usual_ms = 10) {
  return {true, silence, 100, 100, 100, usual_ms * 1'000};
}

std::string found(const std::vector<Listened>& servers,
                  const SilenceSettings& settings = kSettings) {
  const auto count = static_cast<std::uint32_t>(servers.size());
  std::string text;
  for (const Outlier& outlier :
       find_silent(servers, kNow, {.servers = count, .ejected = 0, .usable = count}, settings)) {
    EXPECT_EQ(outlier.reason, Outlier::Reason::silence);
    text += (text.empty() ? "" : " ") + std::to_string(outlier.server);
  }
  return text;
}

TEST(Silence, ARowIsTimedFromItsLastRequest) {
  Silence silence;
  silence.look(4, 900, 1'000, kSettings);
  EXPECT_FALSE(silence.is_row());
  silence.look(5, 900, 2'000, kSettings);
  EXPECT_TRUE(silence.is_row());
  EXPECT_FALSE(silence.is_long(2'999, kSettings)) << "the fifth may be young";
  EXPECT_TRUE(silence.is_long(3'000, kSettings));
  silence.look(9, 900, 3'000, kSettings);
  EXPECT_EQ(silence.lasts_ms(3'000), 1'000u);
  EXPECT_EQ(silence.unanswered(), 9u);
}

TEST(Silence, AnAnswerBeginsAnotherRow) {
  Silence silence;
  silence.look(5, 900, 1'000, kSettings);
  silence.look(5, 1'500, 2'000, kSettings);
  EXPECT_FALSE(silence.is_long(2'999, kSettings)) << "as many as before, but others";
  EXPECT_TRUE(silence.is_long(3'000, kSettings));
}

TEST(Silence, ClientsThatLeaveEndARow) {
  Silence silence;
  silence.look(5, 900, 1'000, kSettings);
  silence.look(4, 900, 1'500, kSettings);
  silence.look(5, 900, 2'000, kSettings);
  EXPECT_FALSE(silence.is_long(2'500, kSettings));
}

TEST(Silence, CanBeSwitchedOff) {
  for (const SilenceSettings& settings :
       {SilenceSettings{.requests = 0}, SilenceSettings{.after_ms = 0}}) {
    Silence silence;
    silence.look(100, 900, 1'000, settings);
    EXPECT_FALSE(silence.is_long(1'000'000, settings));
  }
}

TEST(FindSilent, OneAmongOthersThatSpeak) {
  EXPECT_EQ(found({listened(silent_for(1'000)), listened(speaking()), listened(speaking())}), "0");
  EXPECT_EQ(found({listened(speaking()), listened(silent_for(60'000))}), "1");
  EXPECT_EQ(found({listened(silent_for(999)), listened(speaking())}), "");
  EXPECT_EQ(found({listened(silent_for(5'000, 4)), listened(speaking())}), "") << "no row of five";
}

TEST(FindSilent, TellsWhy) {
  const std::vector<Listened> servers{listened(silent_for(1'250, 12)), listened(speaking())};
  const auto outliers =
      find_silent(servers, kNow, {.servers = 2, .ejected = 0, .usable = 2}, kSettings);
  ASSERT_EQ(outliers.size(), 1u);
  EXPECT_EQ(describe(outliers[0]), "12 requests without an answer for 1250 ms");
}

TEST(FindSilent, AServerThatUsuallyTakesLongIsLeftAlone) {
  EXPECT_EQ(found({listened(silent_for(30'000), 30'000), listened(speaking())}), "");
  EXPECT_EQ(found({listened(silent_for(90'000), 30'000), listened(speaking())}), "");
  EXPECT_EQ(found({listened(silent_for(90'001), 30'000), listened(speaking())}), "0");
}

TEST(FindSilent, NobodyWhoseUsualTimeIsUnknown) {
  Listened young = listened(silent_for(5'000));
  young.latencies = 19;
  EXPECT_EQ(found({young, listened(speaking())}), "");
  young.latencies = 20;
  EXPECT_EQ(found({young, listened(speaking())}), "0");
}

TEST(FindSilent, WhenHalfAreSilentTheFaultMayBeBehindThem) {
  const Listened silent = listened(silent_for(2'000));
  const Listened speaks = listened(speaking());
  EXPECT_EQ(found({silent, silent}), "");
  EXPECT_EQ(found({silent, silent, silent, speaks}), "");
  EXPECT_EQ(found({silent, silent, speaks}), "0") << "one of two others; the floor spares the last";
  const Listened not_long = listened(silent_for(100, 1));
  EXPECT_EQ(found({silent, listened(silent_for(2'000, 1))}), "")
      << "asked once, and has not answered since either";
  EXPECT_EQ(found({silent, not_long}), "0") << "its last answer is younger than the row";
}

// All clients of a closed loop may be stuck in the server that hangs.
TEST(FindSilent, WhoIsAskedNothingIsNotSilent) {
  EXPECT_EQ(found({listened(silent_for(2'000)), listened(silent_for(2'000, 0))}), "0");
}

// Before the first long polls end, nothing that was measured tells of them; but the others' do not
// end either.
TEST(FindSilent, OthersWithManyUnansweredRequestsAreNoMeasure) {
  Listened polled = listened(speaking());
  polled.requests = 112;  // 89.3 %.
  EXPECT_EQ(found({listened(silent_for(2'000)), polled}), "");
  polled.requests = 111;  // 90.1 %.
  EXPECT_EQ(found({listened(silent_for(2'000)), polled}), "0");
}

TEST(FindSilent, OthersWithFewAnswersAreNoMeasure) {
  Listened calm = listened(speaking());
  calm.requests = calm.answers = 19;
  EXPECT_EQ(found({listened(silent_for(2'000)), calm}), "");
  EXPECT_EQ(found({listened(silent_for(2'000))}), "") << "nobody to compare with";
}

TEST(FindSilent, ServersThatTakeNoRequestsDoNotCount) {
  Listened out = listened(silent_for(2'000));
  out.judged = false;
  EXPECT_EQ(found({out, listened(speaking())}), "");
  EXPECT_EQ(found({listened(silent_for(2'000)), out, out, listened(speaking())}), "0");
}

TEST(FindSilent, TheFloorHolds) {
  const Listened silent = listened(silent_for(2'000));
  const Listened speaks = listened(speaking());
  std::vector<Listened> servers{silent, silent, speaks, speaks, speaks};
  EXPECT_EQ(found(servers), "0 1");
  EXPECT_EQ(found(servers, {.max_ejected_percent = 39}), "0");
  EXPECT_EQ(found(servers, {.max_ejected_percent = 0}), "");
}

}  // namespace
}  // namespace weir::health
