// Load reports: what the body of a health check's answer says about the server, in one of three
// forms.
//
//   two lines        12\n340\n                         errors, then entries, decimal
//   agent line       75% maxconn:30 up # all well      the words of HAProxy's agent-check
//   JSON object      {"errors": 12, "entries": 340, "weight": 75, "maxconn": 30, "state": "up"}
//
// Strict: a body that is anything else, like the page of a server that knows nothing of reports, is
// no report, and the caller counts it and lets the old values age. Numbers too large for 32 bits
// are as good as the largest. Agent words are separated by blanks or commas, in any case; `up` and
// `ready` end a drain, `down`, `fail`, `failed` and `stopped` mean the same, and of several the
// strictest holds. Of the object only members of other names are skipped, and those must be plain
// values; it says both of errors and entries or neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "health/state.h"

namespace weir::health {

// A longer body is no report: cut off, its last number would be another one.
inline constexpr std::size_t kReportBytesMax = 1'024;

struct ReportedLoad {
  std::uint32_t errors = 0;
  std::uint32_t entries = 0;

  bool operator==(const ReportedLoad&) const = default;
};

// What was said; what was not keeps its old value. At least one of them is there.
struct LoadReport {
  std::optional<ReportedLoad> load;
  std::optional<std::uint32_t> percent;  // Of the configured weight, at most kPercentMax.
  std::optional<std::uint32_t> maxconn;  // 0: no limit.
  std::optional<Wish> wish;              // `none` for up and ready.

  static constexpr std::uint32_t kPercentMax = 1'000;

  bool operator==(const LoadReport&) const = default;
};

[[nodiscard]] std::optional<LoadReport> parse_load_report(std::string_view body);

}  // namespace weir::health
