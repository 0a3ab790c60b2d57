// A body that a health check has brought is a report within its bounds, or none.
#include "health/load_report.h"

#include <string>

#include "base/check.h"
#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  const std::string_view given(reinterpret_cast<const char*>(data), size);
  const std::unique_ptr<char[]> block = fuzz::exact_block(given);
  const std::string_view body(block.get(), size);
  const auto report = health::parse_load_report(body);
  if (!report) return 0;
  CHECK(body.size() <= health::kReportBytesMax);
  CHECK(report->load || report->percent || report->maxconn || report->wish);
  CHECK(!report->percent || *report->percent <= health::LoadReport::kPercentMax);
  CHECK(!report->wish || *report->wish <= health::Wish::maintenance);
  CHECK(health::parse_load_report(body) == report);
  return 0;
}
