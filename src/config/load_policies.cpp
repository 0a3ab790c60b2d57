// What a backend does when a server answers badly, is full, or has a client of its own:
// [backend.NAME.ejection], .retry, .queue and .sticky.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "config/http_words.h"
#include "config/load_backend.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kConsecutiveMax = 255;  // What the servers' shared word has room for.
constexpr std::uint32_t kRequestsMax = 1'000'000;
constexpr std::uint32_t kRetriesMax = 7;
constexpr std::size_t kSecretMin = 16;
constexpr Milliseconds kCookieAgeMax = std::chrono::hours{24 * 365};

// A longest time below the first one: an error when it is written, and else the default yields.
void order(const TableReader& table, std::string_view first, std::string_view most,
           Milliseconds first_value, Milliseconds& most_value) {
  if (first_value <= most_value) return;
  most_value = first_value;
  const Value* value = table.find(most);
  if (value == nullptr) return;
  table.report().add(Code::conflict, value->span,
                     in_backticks(most) + " is shorter than " + in_backticks(first),
                     "make it at least as long");
}

void add_statuses(const Value& value, RetryPolicy& out, Report& report) {
  const auto range = load_status_range(value, 500, "write for example 503 or \"500-504\"", report);
  if (!range) return;
  for (std::uint16_t status = range->first; status <= range->last; ++status) {
    if (std::ranges::find(out.statuses, status) == out.statuses.end()) {
      out.statuses.push_back(status);
      continue;
    }
    report.add(Code::listed_twice, value.span,
               "`" + std::to_string(status) + "` is listed twice in `statuses`", "remove one");
    return;
  }
}

// One of them, or an array.
void load_statuses(const TableReader& table, RetryPolicy& out) {
  const Value* value = table.find("statuses");
  if (value == nullptr) return;
  if (value->type != Value::Type::array) return add_statuses(*value, out, table.report());
  for (const Value& one : value->items) add_statuses(one, out, table.report());
}

}  // namespace

void load_ejection(const TableReader& backend, Ejection& out) {
  const auto table = backend.table("ejection", TableKind::ejection);
  if (!table) return;
  table->boolean("enabled", out.enabled);
  table->number("consecutive_errors", 0, kConsecutiveMax, out.consecutive_errors);
  table->number("error_percent", 0, 100, out.error_percent);
  // Half of the servers are slower than the median.
  table->number_or_zero("latency_factor", 2, 1'000, out.latency_factor);
  table->number("min_requests", 1, kRequestsMax, out.min_requests);
  table->duration("window", out.window, Milliseconds{100});
  table->duration("silence", out.silence, Milliseconds{0});
  table->duration("time", out.time);
  table->duration("time_max", out.time_max);
  order(*table, "time", "time_max", out.time, out.time_max);
  table->number("max_ejected_percent", 0, 100, out.max_ejected_percent);
}

void load_retry(const TableReader& backend, RetryPolicy& out) {
  const auto table = backend.table("retry", TableKind::retry);
  if (!table) return;
  table->boolean("enabled", out.enabled);
  table->number("max", 0, kRetriesMax, out.max);
  load_statuses(*table, out);
  table->duration("backoff", out.backoff, Milliseconds{0});
  table->duration("backoff_max", out.backoff_max, Milliseconds{0});
  order(*table, "backoff", "backoff_max", out.backoff, out.backoff_max);
  table->number("budget_percent", 0, 100, out.budget_percent);
  table->duration("try_timeout", out.try_timeout);
}

void load_queue(const TableReader& backend, QueuePolicy& out) {
  const auto table = backend.table("queue", TableKind::queue);
  if (!table) return;
  table->number("size", 0, kRequestsMax, out.size);
  table->duration("timeout", out.timeout);
  table->duration("target", out.target, Milliseconds{0});
  table->duration("target_interval", out.target_interval);
  table->parsed("priority_header", Code::bad_field, parse_field_name, out.priority_header);
}

void load_sticky(const TableReader& backend, Sticky& out) {
  const auto table = backend.table("sticky", TableKind::sticky);
  if (!table) return;
  (void)table->require("cookie", "cookie = \"weir\"");
  table->parsed("cookie", Code::bad_field, parse_cookie_name, out.cookie);
  if (const Value* secret = table->string("secret")) {
    if (secret->text.size() < kSecretMin) {
      table->report().add(Code::out_of_range, secret->span,
                          "the secret has " + std::to_string(secret->text.size()) + " bytes",
                          "use 16 or more, or remove the key");
    } else {
      out.secret = secret->text;
    }
  }
  table->boolean("secure", out.secure);
  table->duration("max_age", out.max_age, std::chrono::seconds{1}, kCookieAgeMax);
  // RFC 6265bis 4.1.3: browsers drop such a cookie otherwise.
  const std::string name = lower(out.cookie);
  if (!out.secure && (name.starts_with("__secure-") || name.starts_with("__host-"))) {
    table->report().add(Code::conflict, table->find("cookie")->span,
                        "browsers take " + in_backticks(out.cookie) + " only as a secure cookie",
                        "add secure = true, or use another name");
  }
}

}  // namespace weir::config
