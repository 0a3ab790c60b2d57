// [limit.NAME]: so many requests or connections in a time, per key.
#include <string>
#include <utility>

#include "config/draft.h"
#include "config/http_words.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kKeysMax = 16'777'216;
constexpr std::string_view kHeader = "header:";

void load_rate(const TableReader& table, RateLimit& limit) {
  if (table.require("rate", "rate = \"100/s\"") == nullptr) return;
  const Value* value = table.string("rate");
  if (value == nullptr) return;
  auto rate = parse_rate(value->text);
  if (!rate) {
    table.report().add(Code::bad_rate, value->span, std::move(rate.error()));
    return;
  }
  limit.count = rate->count;
  limit.per = rate->per;
  limit.burst = rate->count;
}

void load_key(const TableReader& table, RateLimit& limit) {
  const Value* value = table.string("key");
  if (value == nullptr) return;
  if (value->text == "client" || value->text == "total") {
    limit.key = value->text == "total" ? RateLimit::Key::total : RateLimit::Key::client;
  } else if (lower(value->text).starts_with(kHeader)) {
    auto name = parse_field_name(trim(std::string_view(value->text).substr(kHeader.size())));
    if (!name) {
      table.report().add(Code::bad_field, value->span,
                         in_backticks(value->text) + " names no header field",
                         "write for example \"header:X-Api-Key\"");
      return;
    }
    limit.key = RateLimit::Key::header;
    limit.header = std::move(*name);
  } else {
    constexpr std::string_view kKnown[] = {"client", "total", "header:NAME"};
    table.report().add(Code::unknown_value, value->span, not_among("key", value->text, kKnown));
  }
}

}  // namespace

void load_limits(const Member& member, Draft& draft, Report& report) {
  for_each_named(member, report, [&](const Member& named) {
    const TableReader table(named.value, named.value.span, TableKind::limit,
                            "[limit." + named.key + "]", report);
    RateLimit limit;
    limit.name = named.key;
    load_rate(table, limit);
    table.number("burst", 1, kRateMax, limit.burst);
    load_key(table, limit);
    table.number("keys_max", 1, kKeysMax, limit.keys_max);
    draft.limits.emplace(limit.name, named.key_span);
    if (limit.key == RateLimit::Key::header) draft.header_limits.insert(limit.name);
    draft.config.limits.push_back(std::move(limit));
  });
}

}  // namespace weir::config
