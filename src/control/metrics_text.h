// The Prometheus text format 0.0.4, as text and nothing else: labels, samples, histograms.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/histogram.h"

namespace weir::control {

inline constexpr std::string_view kCounter = "counter";
inline constexpr std::string_view kGauge = "gauge";
inline constexpr std::string_view kHistogram = "histogram";

// key="value",key="value" with the values escaped.
[[nodiscard]] std::string make_labels(
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels);

// One metric and its samples, which must stand together: appends to `out` while it lives. `name`
// and `help` are ours and need no escaping; `labels` come from make_labels() or are empty.
class Family {
 public:
  Family(std::string& out, std::string_view name, std::string_view type, std::string_view help);

  void sample(std::string_view labels, std::uint64_t value);
  void seconds(std::string_view labels, std::uint64_t value_us);
  // Cumulative buckets up to 10 s, sum and count; in seconds. A bucket's end falls inside one of
  // the histogram's own, finer ones, which counts whole: up to 6 % above the end are included.
  void histogram(std::string_view labels, const HistogramCounts& counts);

 private:
  void begin_sample(std::string_view suffix, std::string_view labels, std::string_view bound);
  void put(std::initializer_list<std::string_view> texts);
  void end_sample(std::uint64_t value);

  std::string& out_;
  std::string_view name_;
};

}  // namespace weir::control
