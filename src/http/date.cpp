#include "http/date.h"

#include <string_view>

namespace weir::http {
namespace {

constexpr std::uint64_t kDaySeconds = 86'400;

struct Day {
  unsigned year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
};

// Gregorian calendar, counted in eras of 400 years that begin on 1 March, so that the leap day is
// the last of its year.
Day civil_day(std::uint64_t days_since_1970) {
  constexpr std::uint64_t kEraDays = 146'097;
  constexpr std::uint64_t kDaysTo1970 = 719'468;  // From 1 March of year 0.
  const std::uint64_t days = days_since_1970 + kDaysTo1970;
  const std::uint64_t in_era = days % kEraDays;
  const std::uint64_t year_of_era =
      (in_era - in_era / 1460 + in_era / 36'524 - in_era / 146'096) / 365;
  const std::uint64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint64_t march_month = (5 * in_year + 2) / 153;
  const std::uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  const std::uint64_t year = year_of_era + days / kEraDays * 400 + (month <= 2 ? 1 : 0);
  return {static_cast<unsigned>(year), static_cast<unsigned>(month),
          static_cast<unsigned>(in_year - (153 * march_month + 2) / 5 + 1)};
}

void put_digits(char* out, std::uint64_t number, int count) {
  for (int i = count - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
}

}  // namespace

std::array<char, kDateBytes> format_date(std::uint64_t unix_seconds) {
  constexpr std::string_view kDays = "ThuFriSatSunMonTueWed";  // Day 0 was a Thursday.
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::uint64_t days = unix_seconds / kDaySeconds;
  const std::uint64_t seconds = unix_seconds % kDaySeconds;
  const Day day = civil_day(days);
  std::array<char, kDateBytes> out;
  std::string_view("Thu, 01 Jan 1970 00:00:00 GMT").copy(out.data(), out.size());
  kDays.substr(days % 7 * 3, 3).copy(out.data(), 3);
  put_digits(&out[5], day.day, 2);
  kMonths.substr((day.month - 1) * 3, 3).copy(&out[8], 3);
  put_digits(&out[12], day.year, 4);
  put_digits(&out[17], seconds / 3600, 2);
  put_digits(&out[20], seconds / 60 % 60, 2);
  put_digits(&out[23], seconds % 60, 2);
  return out;
}

}  // namespace weir::http
