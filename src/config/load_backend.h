// The parts of [backend.NAME]; each reads its keys into the backend and reports what it finds.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "config/config.h"
#include "config/draft.h"
#include "config/table_reader.h"

namespace weir::config {

inline constexpr std::uint32_t kServerLimitMax = 1'000'000;

void load_servers(const TableReader& backend, Backend& out, Draft& draft);
// 503 or "500-504", from `least`; reports anything else, with `fix` where nothing better is known.
[[nodiscard]] std::optional<StatusRange> load_status_range(const Value& value, std::uint16_t least,
                                                           std::string_view fix, Report& report);
void load_ejection(const TableReader& backend, Ejection& out);
void load_retry(const TableReader& backend, RetryPolicy& out);
void load_queue(const TableReader& backend, QueuePolicy& out);
void load_sticky(const TableReader& backend, Sticky& out);

}  // namespace weir::config
