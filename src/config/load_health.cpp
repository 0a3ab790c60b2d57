// [backend.NAME.health]: how a server is asked whether it works.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "config/endpoint.h"
#include "config/http_words.h"
#include "config/load_backend.h"
#include "config/match_rules.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kStreakMax = 100;
constexpr std::uint32_t kEveryRequestsMax = 1'000'000'000;
constexpr Milliseconds kTimeLeast{10};

constexpr Choice<HealthCheck::Type> kTypes[] = {
    {"http", HealthCheck::Type::http},
    {"tcp", HealthCheck::Type::tcp},
};

constexpr auto kHttpKeys = std::to_array<std::string_view>(
    {"method", "path", "host", "headers", "expect_status", "expect_body", "load_report"});
constexpr auto kTcpKeys = std::to_array<std::string_view>({"send", "expect"});

// What weir itself says about the message and the connection.
struct OwnField {
  std::string_view name;
  std::string_view fix;
};
constexpr auto kOwnFields = std::to_array<OwnField>({
    {"host", "use the key `host`"},
    {"content-length", "a check has no body"},
    {"transfer-encoding", "a check has no body"},
    {"connection", "leave it out; a check closes its connection"},
});

// What a table without `type` means, and whether that is certain.
struct Usual {
  HealthCheck::Type type;
  bool certain;
};

class HealthLoader {
 public:
  HealthLoader(const TableReader& table, HealthCheck& out)
      : table_(table), report_(table.report()), out_(out) {}

  void load(const Uses& uses, std::string_view backend) {
    const Usual usual = usual_type(uses, backend);
    out_.type = usual.type;
    table_.choice<HealthCheck::Type>("type", kTypes, out_.type);
    const bool http = out_.type == HealthCheck::Type::http;
    using Keys = std::span<const std::string_view>;
    if (usual.certain || table_.find("type") != nullptr) {
      refuse_keys_of_other_type(http ? Keys(kTcpKeys) : Keys(kHttpKeys));
    }
    http ? load_http() : load_tcp();
    load_times();
    bool enabled = true;
    table_.boolean("enabled", enabled);
    if (!enabled) out_.type = HealthCheck::Type::none;
  }

 private:
  // A server behind a TCP listener or CONNECT may speak anything, and is no worse for not speaking
  // HTTP. Who writes what only a request has means one.
  [[nodiscard]] Usual usual_type(const Uses& uses, std::string_view backend) const {
    const auto given = [&](std::string_view key) { return table_.find(key) != nullptr; };
    if (std::ranges::any_of(kHttpKeys, given)) return {HealthCheck::Type::http, true};
    if (uses.gets_no_request(backend)) return {HealthCheck::Type::tcp, true};
    const bool known = uses.http.contains(backend) || !(uses.tcp_unclear || uses.http_unclear);
    return {HealthCheck::Type::http, known};
  }

  void refuse_keys_of_other_type(std::span<const std::string_view> keys) {
    const bool http = out_.type == HealthCheck::Type::http;
    for (std::string_view key : keys) {
      const Value* value = table_.find(key);
      if (value == nullptr) continue;
      report_.add(
          Code::conflict, value->span,
          in_backticks(key) + " means nothing to type = \"" + (http ? "http" : "tcp") + "\"",
          std::string("remove it, or use type = \"") + (http ? "tcp" : "http") + "\"");
    }
  }

  void load_http() {
    table_.parsed("method", Code::bad_method, check_method, out_.method);
    table_.parsed("path", Code::bad_path, parse_origin_form, out_.path);
    table_.parsed("host", Code::bad_host, check_host, out_.host);
    load_headers();
    load_statuses();
    if (const Value* body = table_.string("expect_body")) out_.expect_body = body->text;
    table_.boolean("load_report", out_.load_report);
    if (out_.method != "HEAD" || (out_.expect_body.empty() && !out_.load_report)) return;
    report_.add(Code::conflict, table_.find("method")->span,
                "the answer to HEAD has no body to look at", "use method = \"GET\"");
  }

  void load_tcp() {
    if (const Value* send = table_.string("send")) out_.send = send->text;
    if (const Value* expect = table_.string("expect")) out_.expect = expect->text;
  }

  void load_times() {
    if (const auto port = table_.number("port", 1, 65'535)) {
      out_.port = static_cast<std::uint16_t>(*port);
    }
    table_.duration("interval", out_.interval, kTimeLeast);
    table_.duration("fast_interval", out_.fast_interval, kTimeLeast);
    table_.duration("timeout", out_.timeout, kTimeLeast);
    table_.number("rise", 1, kStreakMax, out_.rise);
    table_.number("fall", 1, kStreakMax, out_.fall);
    table_.number("every_requests", 0, kEveryRequestsMax, out_.every_requests);
    if (out_.fast_interval <= out_.interval) return;
    // The default yields to a short interval; what is written does not.
    out_.fast_interval = out_.interval;
    const Value* fast = table_.find("fast_interval");
    if (fast == nullptr) return;
    report_.add(Code::conflict, fast->span, "`fast_interval` is longer than `interval`",
                "make it shorter, or remove the key");
  }

  static Result<std::string, Problem> check_method(std::string_view text) {
    if (text == "CONNECT") {
      return Err(Problem{"CONNECT opens a tunnel and checks nothing", "write \"GET\""});
    }
    return parse_method(text);
  }

  // A host name or address, with or without a port (RFC 9110 7.2).
  static Result<std::string, Problem> check_host(std::string_view text) {
    const std::size_t bracket = text.rfind(']');
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    auto name = parse_host_pattern(text.substr(0, colon));
    if (name && name->starts_with("*.")) {
      return Err(Problem{in_backticks(text) + " is a pattern, not a host",
                         "write for example \"example.com\""});
    }
    if (!name) {
      return Err(Problem{in_backticks(text) + " is not a host",
                         "write for example \"example.com\", or remove the key"});
    }
    if (colon == std::string_view::npos) return name;
    const auto port = parse_port(text.substr(colon + 1));
    if (!port) return Err(port.error());
    return *name + ":" + std::to_string(*port);
  }

  void load_headers() {
    const Value* headers = table_.find("headers");
    if (headers == nullptr) return;
    if (headers->type != Value::Type::table) {
      table_.wrong_type("headers", *headers, "a table",
                        "write headers = { \"X-Check\" = \"weir\" }");
      return;
    }
    std::set<std::string> seen;
    for (const Member& member : headers->members) {
      if (!seen.insert(lower(member.key)).second) {
        report_.add(Code::listed_twice, member.key_span,
                    in_backticks(member.key) + " is listed twice in `headers`", "remove one");
      }
      load_header(member);
    }
  }

  void load_header(const Member& member) {
    auto name = parse_field_name(member.key);
    if (!name) {
      report_.add(Code::bad_field, member.key_span, std::move(name.error()));
      return;
    }
    const auto own = std::ranges::find(kOwnFields, lower(*name), &OwnField::name);
    if (own != kOwnFields.end()) {
      report_.add(Code::bad_field, member.key_span, "weir sets " + in_backticks(*name) + " itself",
                  std::string(own->fix));
      return;
    }
    if (member.value.type != Value::Type::string) {
      report_.add(Code::wrong_type, member.value.span,
                  "the value of a header must be a string, not " +
                      std::string(type_name(member.value.type)),
                  "put it in \"quotes\"");
      return;
    }
    auto value = parse_field_value(member.value.text);
    if (!value) {
      report_.add(Code::bad_field, member.value.span, std::move(value.error()));
      return;
    }
    out_.headers.push_back({std::move(*name), std::move(*value)});
  }

  // "any", 200, "200-399", or an array of the latter two.
  void load_statuses() {
    const Value* value = table_.find("expect_status");
    if (value == nullptr) return;
    std::vector<StatusRange> ranges;
    const bool any = value->type == Value::Type::string && value->text == "any";
    if (value->type == Value::Type::array) {
      for (const Value& item : value->items) add_status(item, ranges);
    } else if (!any) {
      add_status(*value, ranges);
    }
    out_.expect_status = std::move(ranges);
  }

  void add_status(const Value& value, std::vector<StatusRange>& ranges) {
    constexpr std::string_view kFix = "write 200, \"200-399\", or \"any\" alone";
    if (const auto range = load_status_range(value, 100, kFix, report_)) ranges.push_back(*range);
  }

  const TableReader& table_;
  Report& report_;
  HealthCheck& out_;
};

}  // namespace

std::optional<StatusRange> load_status_range(const Value& value, std::uint16_t least,
                                             std::string_view fix, Report& report) {
  const bool number = value.type == Value::Type::integer;
  if (!number && value.type != Value::Type::string) {
    report.add(
        Code::wrong_type, value.span,
        "a status must be a whole number or a string, not " + std::string(type_name(value.type)),
        std::string(fix));
    return std::nullopt;
  }
  const std::string text = number ? std::to_string(value.integer) : value.text;
  const std::string use = "use " + std::to_string(least) + " to 599";
  if (const auto range = parse_status_range(text)) {
    if (range->first >= least) return range;
    report.add(Code::out_of_range, value.span, in_backticks(text) + " is out of range", use);
    return std::nullopt;
  }
  const bool family =
      text.size() == 3 && text[0] >= '1' && text[0] <= '5' && lower(text).substr(1) == "xx";
  report.add(Code::out_of_range, value.span, in_backticks(text) + " is no range of statuses",
             family ? std::string("write \"") + text[0] + "00-" + text[0] + "99\""
             : text.find('-') == std::string::npos ? std::string(fix)
                                                   : use + ", the smaller first");
  return std::nullopt;
}

void load_health_checks(Draft& draft) {
  for (const HealthTable& health : draft.health_tables) {
    Backend& backend = draft.config.backends[health.backend];
    HealthLoader(health.table, backend.health).load(draft.uses, backend.name);
  }
}

}  // namespace weir::config
