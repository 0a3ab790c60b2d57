// The parts of [backend.NAME]; each reads its keys into the backend and reports what it finds.
#pragma once

#include <cstdint>

#include "config/config.h"
#include "config/draft.h"
#include "config/table_reader.h"

namespace weir::config {

inline constexpr std::uint32_t kServerLimitMax = 1'000'000;

void load_servers(const TableReader& backend, Backend& out, Draft& draft);
void load_health(const TableReader& backend, HealthCheck& out);
void load_ejection(const TableReader& backend, Ejection& out);
void load_retry(const TableReader& backend, RetryPolicy& out);
void load_queue(const TableReader& backend, QueuePolicy& out);
void load_sticky(const TableReader& backend, Sticky& out);

}  // namespace weir::config
