// Silence: a server that takes requests and answers none: stopped, hung, or gone behind a dead
// link. Every request that is sent there waits for its whole timeout, so this must show long before
// the first of them runs out. Pure; the control thread asks several times a second and applies
// Passive::Event::fell_silent to what comes back.
//
// A slow request is no silence. What counts is a row of requests, all sent after the server's last
// answer and all older than `after_ms` and a multiple of what the server usually takes: who answers
// anything at all, or usually takes that long (long polling), is left alone. So is everybody when
// the others fare no better: half of those that have been asked must have answered since, and of
// all requests of late nearly all. Where few servers can be compared, or hardly anything was
// measured, there is no verdict.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "health/ejection_floor.h"
#include "health/outliers.h"

namespace weir::health {

struct SilenceSettings {
  std::uint32_t requests = 5;              // Unanswered in a row; 0: never.
  std::uint32_t after_ms = 1'000;          // 0: never.
  std::uint32_t usual_factor = 3;          // Times what 95 % of the server's answers take at most.
  std::uint32_t min_requests = 20;         // Fewer of late say nothing.
  std::uint32_t answer_percent = 90;       // So many of the others' requests were answered of late.
  std::uint32_t max_ejected_percent = 50;  // See ejection_floor.h.
};

// How long a row of so many requests has waited. One per server; all times are of one clock.
class Silence {
 public:
  // `unanswered`: requests under way that were sent after the last answer, which came at
  // `answered_ms` (0: never).
  void look(std::uint64_t unanswered, std::uint64_t answered_ms, std::uint64_t now_ms,
            const SilenceSettings& settings) {
    const bool row = settings.requests > 0 && unanswered >= settings.requests;
    if (!row || answered_ms != answered_ms_) since_ms_ = 0;
    if (row && since_ms_ == 0) since_ms_ = now_ms;
    answered_ms_ = answered_ms;
    unanswered_ = unanswered;
  }

  [[nodiscard]] bool is_row() const { return since_ms_ > 0; }
  [[nodiscard]] bool is_long(std::uint64_t now_ms, const SilenceSettings& settings) const {
    return settings.after_ms > 0 && is_row() && lasts_ms(now_ms) >= settings.after_ms;
  }
  // Only of a row.
  [[nodiscard]] std::uint64_t lasts_ms(std::uint64_t now_ms) const { return now_ms - since_ms_; }
  [[nodiscard]] std::uint64_t unanswered() const { return unanswered_; }
  // It has not left alone what it was asked, compared with a server that is silent.
  [[nodiscard]] bool speaks_beside(const Silence& silent) const {
    return unanswered_ == 0 || answered_ms_ > silent.since_ms_;
  }

 private:
  std::uint64_t answered_ms_ = 0;
  std::uint64_t unanswered_ = 0;
  std::uint64_t since_ms_ = 0;  // When the row was seen first; 0: there is none.
};

// One server beside the others.
struct Listened {
  bool judged = false;  // Takes requests now, hence may be ejected and is a measure.
  Silence silence;
  // Of late:
  std::uint64_t requests = 0;
  std::uint64_t answers = 0;
  std::uint64_t latencies = 0;
  std::uint64_t usual_us = 0;  // 95 % of those took no longer.
};

// Whom to eject, no more than the floor allows, in order.
[[nodiscard]] std::vector<Outlier> find_silent(std::span<const Listened> servers,
                                               std::uint64_t now_ms, const ServerCounts& counts,
                                               const SilenceSettings& settings);

}  // namespace weir::health
