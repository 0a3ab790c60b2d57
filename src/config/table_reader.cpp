#include "config/table_reader.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "config/text.h"
#include "config/units.h"

namespace weir::config {
namespace {

struct ForeignValue {
  std::string_view theirs;
  std::string_view ours;
};
constexpr auto kForeignValues = std::to_array<ForeignValue>({
    {"roundrobin", "round_robin"},
    {"rr", "round_robin"},
    {"wrr", "round_robin"},
    {"static-rr", "round_robin"},
    {"leastconn", "least_connections"},
    {"least_conn", "least_connections"},
    {"least_request", "least_connections"},
    {"lc", "least_connections"},
    {"random_choose", "p2c"},
    {"power_of_two", "p2c"},
    {"random_two", "p2c"},
    {"least_time", "ewma"},
    {"peak_ewma", "ewma"},
    {"source", "ip_hash"},
    {"client_ip_hash", "ip_hash"},
    {"uri", "uri_hash"},
    {"hdr", "header_hash"},
    {"cookie", "cookie_hash"},
    {"url_param", "query_hash"},
    {"et", "edge"},
    {"lt", "level"},
});

// Lists that look like switches: what belongs there is no word for on or off.
struct Example {
  std::string_view key;
  std::string_view value;
};
constexpr auto kExamples = std::to_array<Example>({
    {"accept_proxy", "[\"10.0.0.0/8\"]"},
    {"trusted_proxies", "[\"10.0.0.0/8\"]"},
    {"connect", "[\"db.example:5432\"]"},
    {"sni", "[\"shop.example.com\"]"},
    {"upgrade", "[\"websocket\"]"},
});

std::string assignment(std::string_view key, std::string_view value) {
  return "write `" + std::string(key) + " = " + std::string(value) + "`";
}

std::string shortest_text(Milliseconds time) {
  const auto count = time.count();
  if (count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
  return count % 1'000 == 0 ? std::to_string(count / 1'000) + "s" : std::to_string(count) + "ms";
}

std::string range_text(std::uint32_t least, std::uint32_t most) {
  return std::to_string(least) + " to " + std::to_string(most);
}

// For a value that is no number.
std::string number_fix(std::string_view key, const Value& value, std::uint32_t least,
                       std::uint32_t most) {
  const bool text = value.type == Value::Type::string;
  if (text && all_digits(value.text)) return "remove the quotes";
  if (value.type == Value::Type::array && value.items.size() == 1) {
    const Value& item = value.items.front();
    const bool fits =
        item.type == Value::Type::integer && item.integer >= least && item.integer <= most;
    if (fits) return assignment(key, std::to_string(item.integer));
  }
  return "use " + range_text(least, most) + (text ? ", without quotes" : "");
}

// For a value that is no string.
std::string string_fix(std::string_view key, const Value& value) {
  if (value.type == Value::Type::integer) {
    return assignment(key, "\"" + std::to_string(value.integer) + "\"");
  }
  if (value.type == Value::Type::array) {
    constexpr std::size_t kRepeatedMax = 60;
    const bool one = value.items.size() == 1 && value.items.front().type == Value::Type::string &&
                     value.items.front().text.size() <= kRepeatedMax;
    return one ? assignment(key, "\"" + printable(value.items.front().text) + "\"")
               : "write one \"string\", without brackets";
  }
  const auto* const example = std::ranges::find(kExamples, key, &Example::key);
  const bool known = value.type == Value::Type::boolean && example != kExamples.end();
  return known ? assignment(key, example->value) : "put the value in \"quotes\"";
}

// The number of a duration without a unit: 5, or "5".
std::optional<std::string> bare_number(const Value& value) {
  if (value.type == Value::Type::integer && value.integer >= 0) {
    return std::to_string(value.integer);
  }
  const bool digits = value.type == Value::Type::string && all_digits(value.text);
  return digits ? std::optional(value.text) : std::nullopt;
}

// `number` with each unit that makes a duration that can be used; empty when none does.
std::string with_units(const std::string& number, const Durations& allowed) {
  std::string out;
  for (const char* unit : {"s", "ms"}) {
    const auto duration = parse_duration(number + unit, allowed.most);
    if (!duration || *duration < allowed.least || duration->count() % allowed.step.count() != 0) {
      continue;
    }
    out += (out.empty() ? "write \"" : " or \"") + number + unit + "\"";
  }
  return out;
}

bool is_bare_zero(const Value& value) {
  return value.type == Value::Type::integer ? value.integer == 0 : value.text == "0";
}

}  // namespace

std::string_view hashed_part(Balance balance) {
  switch (balance) {
    case Balance::header_hash: return "header";
    case Balance::cookie_hash: return "cookie";
    case Balance::query_hash: return "query";
    default: return {};
  }
}

void load_keepalive(const TableReader& table, Milliseconds& out) {
  table.seconds_or_zero("tcp_keepalive", std::chrono::seconds{32'767}, out);
}

void load_congestion(const TableReader& table, std::string& out) {
  const auto name = [](std::string_view text) -> Result<std::string, Problem> {
    constexpr std::size_t kLongest = 15;
    if (is_name(text) && text.size() <= kLongest) return std::string(text);
    return Err(Problem{in_backticks(text) + " is not the name of a congestion control",
                       "write congestion = \"cubic\""});
  };
  table.parsed("congestion", Code::unknown_value, name, out);
}

bool hashes_requests(Balance balance) {
  return balance == Balance::uri_hash || !hashed_part(balance).empty();
}

std::optional<std::string_view> foreign_value(std::string_view text) {
  const std::string wanted = lower(text);
  for (const ForeignValue& value : kForeignValues) {
    if (value.theirs == wanted) return value.ours;
  }
  return std::nullopt;
}

Problem not_among(std::string_view key, std::string_view text,
                  std::span<const std::string_view> texts) {
  Problem problem = {"unknown " + std::string(key) + " " + in_backticks(text), {}};
  auto meant = foreign_value(text);
  if (!meant || std::ranges::find(texts, *meant) == texts.end()) meant = closest(text, texts);
  problem.fix =
      meant ? "did you mean \"" + std::string(*meant) + "\"?" : "choose one of " + joined(texts);
  return problem;
}

TableReader::TableReader(const Value& table, Span header, TableKind kind, std::string title,
                         Report& report)
    : table_(table), header_(header), title_(std::move(title)), report_(report) {
  check_keys(table, kind, title_, report);
}

const Value* TableReader::find(std::string_view key) const {
  const Member* member = table_.find(key);
  return member == nullptr ? nullptr : &member->value;
}

bool TableReader::misspelt(std::string_view key) const {
  return find(key) == nullptr && std::ranges::any_of(table_.members, [&](const Member& member) {
           return stands_for(member.key, key);
         });
}

const Value* TableReader::require(std::string_view key, std::string_view example) const {
  const Value* value = find(key);
  // That a misspelt key is missing follows from what was reported.
  if (value == nullptr && !misspelt(key)) {
    report_.add(Code::missing_key, header_, title_ + " has no " + in_backticks(key),
                "add `" + std::string(example) + "`");
  }
  return value;
}

void TableReader::wrong_type(std::string_view key, const Value& value, std::string_view expected,
                             std::string fix) const {
  report_.add(Code::wrong_type, value.span,
              in_backticks(key) + " must be " + std::string(expected) + ", not " +
                  std::string(type_name(value.type)),
              std::move(fix));
}

void TableReader::boolean(std::string_view key, bool& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  if (value->type == Value::Type::boolean) {
    out = value->boolean;
    return;
  }
  const std::string text = lower(value->text);
  const bool yes = text == "true" || text == "yes" || text == "on" || text == "1" ||
                   (value->type == Value::Type::integer && value->integer == 1);
  wrong_type(key, *value, "true or false", assignment(key, yes ? "true" : "false"));
}

std::optional<std::uint32_t> TableReader::number(std::string_view key, std::uint32_t least,
                                                 std::uint32_t most) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != Value::Type::integer) {
    wrong_type(key, *value, "a whole number", number_fix(key, *value, least, most));
    return std::nullopt;
  }
  if (value->integer < least || value->integer > most) {
    report_.add(Code::out_of_range, value->span,
                in_backticks(key) + " = " + std::to_string(value->integer) + " is out of range",
                "use " + range_text(least, most));
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(value->integer);
}

void TableReader::number_or_zero(std::string_view key, std::uint32_t least, std::uint32_t most,
                                 std::uint32_t& out) const {
  const auto value = number(key, 0, most);
  if (!value) return;
  if (*value != 0 && *value < least) {
    report_.add(Code::out_of_range, find(key)->span,
                in_backticks(key) + " = " + std::to_string(*value) + " is out of range",
                "use 0 or " + std::to_string(least) + " to " + std::to_string(most));
    return;
  }
  out = *value;
}

void TableReader::duration(std::string_view key, std::optional<Milliseconds>& out,
                           Milliseconds least, Milliseconds most) const {
  Milliseconds value{-1};
  duration(key, value, least, most);
  if (value.count() >= 0) out = value;
}

void TableReader::duration(std::string_view key, Milliseconds& out, Milliseconds least,
                           Milliseconds most) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  // The missing unit of a zero is not what is wrong with it.
  if (least > Milliseconds{0} && is_bare_zero(*value)) return too_short(key, *value, least, most);
  if (const auto number = bare_number(*value)) {
    return without_unit(*value, *number, {least, most});
  }
  if (value->type != Value::Type::string) {
    wrong_type(key, *value, "a duration", assignment(key, "\"5s\""));
    return;
  }
  auto parsed = parse_duration(value->text, most);
  if (!parsed) {
    report_.add(Code::bad_duration, value->span, std::move(parsed.error()));
    return;
  }
  if (*parsed < least) return too_short(key, *value, least, most);
  out = *parsed;
}

void TableReader::without_unit(const Value& value, const std::string& number,
                               const Durations& allowed) const {
  std::string fix = with_units(number, allowed);
  if (fix.empty()) {
    fix = "use \"" + shortest_text(allowed.least) + "\" to \"" + shortest_text(allowed.most) + "\"";
  } else if (value.type == Value::Type::integer) {
    fix += ", with quotes";
  }
  report_.add(Code::bad_duration, value.span, in_backticks(number) + " has no unit",
              std::move(fix));
}

void TableReader::too_short(std::string_view key, const Value& value, Milliseconds least,
                            Milliseconds most) const {
  const bool zero = value.text.find_first_of("123456789") == std::string::npos;
  report_.add(Code::bad_duration, value.span,
              in_backticks(key) +
                  (zero ? " of zero would always be over" : " = " + value.text + " is too short"),
              "use \"" + shortest_text(least) + "\" to \"" + shortest_text(most) + "\"");
}

void TableReader::seconds_or_zero(std::string_view key, std::chrono::seconds most,
                                  Milliseconds& out) const {
  const Value* given = find(key);
  if (given == nullptr) return;
  if (const auto number = bare_number(*given)) {
    constexpr Milliseconds kSecond{1'000};
    const bool zero = is_bare_zero(*given);
    return without_unit(*given, *number, {zero ? Milliseconds{0} : kSecond, most, kSecond});
  }
  Milliseconds value{-1};
  duration(key, value, Milliseconds{0});
  if (value.count() < 0) return;
  if (value % std::chrono::seconds{1} != Milliseconds{0} || value > most) {
    report_.add(Code::bad_duration, find(key)->span,
                in_backticks(key) + " = " + find(key)->text + " cannot be set",
                "use whole seconds from \"1s\" to \"" + std::to_string(most.count()) +
                    "s\", or \"0s\" for none");
    return;
  }
  out = value;
}

std::optional<TableReader> TableReader::table(std::string_view key, TableKind kind) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  // "[backend.app]" -> "[backend.app.health]".
  const std::string title = title_.substr(0, title_.size() - 1) + "." + std::string(key) + "]";
  if (value->type != Value::Type::table) {
    wrong_type(key, *value, "a table", "write " + title);
    return std::nullopt;
  }
  return TableReader(*value, value->span, kind, title, report_);
}

const Value* TableReader::string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || value->type == Value::Type::string) return value;
  wrong_type(key, *value, "a string", string_fix(key, *value));
  return nullptr;
}

bool TableReader::is_empty_list(std::string_view key) const {
  const Value* value = find(key);
  return value != nullptr && value->type == Value::Type::array && value->items.empty();
}

std::vector<const Value*> TableReader::strings(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return {};
  if (value->type != Value::Type::array) {
    const Value* one = string(key);
    return one == nullptr ? std::vector<const Value*>{} : std::vector<const Value*>{one};
  }
  if (value->items.empty()) {
    report_.add(Code::empty_value, value->span, in_backticks(key) + " is an empty array",
                "name at least one, or remove the key");
  }
  std::vector<const Value*> out;
  for (const Value& item : value->items) {
    if (item.type == Value::Type::string) {
      out.push_back(&item);
      continue;
    }
    std::string fix = "write a \"string\"";
    if (item.type == Value::Type::integer) fix = "write \"" + std::to_string(item.integer) + "\"";
    report_.add(Code::wrong_type, item.span,
                in_backticks(key) + " must hold strings, not " + std::string(type_name(item.type)),
                std::move(fix));
  }
  return out;
}

void TableReader::parsed(std::string_view key, Code code, const Parse& parse,
                         std::string& out) const {
  const Value* value = string(key);
  if (value == nullptr) return;
  auto result = parse(value->text);
  if (result) {
    out = std::move(*result);
  } else {
    report_.add(code, value->span, std::move(result.error()));
  }
}

std::vector<std::string> TableReader::parsed_list(std::string_view key, Code code,
                                                  const Parse& parse) const {
  std::set<std::string> seen;
  std::vector<std::string> out;
  for (const Value* value : strings(key)) {
    if (report_.full()) break;
    auto result = parse(value->text);
    if (!result) {
      report_.add(code, value->span, std::move(result.error()));
    } else if (!seen.insert(*result).second) {
      report_.add(Code::listed_twice, value->span,
                  in_backticks(*result) + " is listed twice in " + in_backticks(key), "remove one");
    } else {
      out.push_back(std::move(*result));
    }
  }
  return out;
}

void TableReader::unknown_value(std::string_view key, const Value& value,
                                std::span<const std::string_view> texts) const {
  if (value.type != Value::Type::string) {
    wrong_type(key, value, "a string", "choose one of " + joined(texts));
    return;
  }
  report_.add(Code::unknown_value, value.span, not_among(key, value.text, texts));
}

}  // namespace weir::config
