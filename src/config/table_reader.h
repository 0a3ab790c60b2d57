// TableReader: typed access to one table of the file.
//
// Every function leaves its target alone when the key is absent, and also, after reporting, when
// its value is wrong: the defaults of config.h then let reading go on and find the next problem.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/document.h"
#include "config/report.h"
#include "config/schema.h"
#include "config/units.h"

namespace weir::config {

// One value of a key that has a fixed list of them.
template <typename T>
struct Choice {
  std::string_view text;
  T value;
};

// The durations that a key can have, all of them multiples of `step`.
struct Durations {
  Milliseconds least;
  Milliseconds most;
  Milliseconds step{1};
};

class TableReader {
 public:
  // Reports unknown keys at once. `header` is where to point when a key is missing.
  TableReader(const Value& table, Span header, TableKind kind, std::string title, Report& report);

  [[nodiscard]] const Value* find(std::string_view key) const;
  // The key is there, but under a name that check_keys() has refused.
  [[nodiscard]] bool misspelt(std::string_view key) const;
  // As find(), and reports a missing key; `example` is a line to copy.
  [[nodiscard]] const Value* require(std::string_view key, std::string_view example) const;

  void boolean(std::string_view key, bool& out) const;
  // A whole number from `least` to `most`.
  [[nodiscard]] std::optional<std::uint32_t> number(std::string_view key, std::uint32_t least,
                                                    std::uint32_t most) const;
  // The same into `out`, which keeps its default otherwise. Zero may be allowed beside a larger
  // least.
  template <typename Integer>
  void number(std::string_view key, std::uint32_t least, std::uint32_t most, Integer& out) const {
    if (const auto value = number(key, least, most)) out = static_cast<Integer>(*value);
  }
  void number_or_zero(std::string_view key, std::uint32_t least, std::uint32_t most,
                      std::uint32_t& out) const;
  // From `least` to `most`.
  void duration(std::string_view key, Milliseconds& out, Milliseconds least = Milliseconds{1},
                Milliseconds most = kDurationMax) const;
  void duration(std::string_view key, std::optional<Milliseconds>& out,
                Milliseconds least = Milliseconds{1}, Milliseconds most = kDurationMax) const;
  // Zero, or whole seconds up to `most`.
  void seconds_or_zero(std::string_view key, std::chrono::seconds most, Milliseconds& out) const;
  // A table inside this one, "[backend.app.health]" in "[backend.app]"; its keys are checked.
  [[nodiscard]] std::optional<TableReader> table(std::string_view key, TableKind kind) const;
  // A string, or nothing after a report.
  [[nodiscard]] const Value* string(std::string_view key) const;
  // True for an empty array, where that says "none".
  [[nodiscard]] bool is_empty_list(std::string_view key) const;
  // The strings of a key that takes one string or an array of them; reports an empty array.
  [[nodiscard]] std::vector<const Value*> strings(std::string_view key) const;
  // A string through `parse`, or a report of `code`.
  using Parse = std::function<Result<std::string, Problem>(std::string_view)>;
  void parsed(std::string_view key, Code code, const Parse& parse, std::string& out) const;
  // The strings of a list through `parse`; repeated ones are reported.
  [[nodiscard]] std::vector<std::string> parsed_list(std::string_view key, Code code,
                                                     const Parse& parse) const;

  // False when the key, or what it says, was not understood.
  template <typename T>
  bool choice(std::string_view key, std::span<const Choice<T>> choices, T& out) const {
    const Value* value = find(key);
    if (value == nullptr) return !misspelt(key);
    std::vector<std::string_view> texts;
    for (const Choice<T>& one : choices) {
      if (value->type == Value::Type::string && one.text == value->text) {
        out = one.value;
        return true;
      }
      texts.push_back(one.text);
    }
    unknown_value(key, *value, texts);
    return false;
  }

  // "expected a string": `expected` completes the sentence, `fix` says what to write.
  void wrong_type(std::string_view key, const Value& value, std::string_view expected,
                  std::string fix = {}) const;

  [[nodiscard]] const std::string& title() const { return title_; }
  [[nodiscard]] const Span& header() const { return header_; }
  [[nodiscard]] Report& report() const { return report_; }

 private:
  void unknown_value(std::string_view key, const Value& value,
                     std::span<const std::string_view> texts) const;
  void without_unit(const Value& value, const std::string& number, const Durations& allowed) const;
  void too_short(std::string_view key, const Value& value, Milliseconds least,
                 Milliseconds most) const;

  const Value& table_;
  Span header_;
  std::string title_;
  Report& report_;
};

// Spellings of other programs for values of ours: "leastconn" -> "least_connections".
[[nodiscard]] std::optional<std::string_view> foreign_value(std::string_view text);

// Why `text` is none of `texts`, with the nearest of them. Used by the command line too.
[[nodiscard]] Problem not_among(std::string_view key, std::string_view text,
                                std::span<const std::string_view> texts);

inline constexpr Choice<Balance> kBalances[] = {
    {"round_robin", Balance::round_robin},
    {"least_connections", Balance::least_connections},
    {"p2c", Balance::p2c},
    {"ewma", Balance::ewma},
    {"least_load", Balance::least_load},
    {"random", Balance::random},
    {"first", Balance::first},
    {"ip_hash", Balance::ip_hash},
    {"uri_hash", Balance::uri_hash},
    {"header_hash", Balance::header_hash},
    {"cookie_hash", Balance::cookie_hash},
    {"query_hash", Balance::query_hash},
};

inline constexpr Choice<Trigger> kTriggers[] = {
    {"edge", Trigger::edge},
    {"level", Trigger::level},
    {"oneshot", Trigger::oneshot},
};

inline constexpr Choice<ListenerMode> kModes[] = {
    {"http", ListenerMode::http},
    {"tcp", ListenerMode::tcp},
};

inline constexpr Choice<ServerWish> kServerWishes[] = {
    {"ready", ServerWish::ready},
    {"drain", ServerWish::drain},
    {"maintenance", ServerWish::maintenance},
};

// "tcp_keepalive" of listeners and backends. Linux takes whole seconds to 32767 (tcp(7),
// TCP_KEEPIDLE).
void load_keepalive(const TableReader& table, Milliseconds& out);
// "congestion" of both: a name the kernel may have (TCP_CA_NAME_MAX). Which it has, the machine
// says (control/machine_check.h).
void load_congestion(const TableReader& table, std::string& out);

// What a policy hashes when it needs a hash_key: "header", "cookie", "query"; else nothing.
[[nodiscard]] std::string_view hashed_part(Balance balance);
// Whether a policy looks at requests, which a TCP connection does not have.
[[nodiscard]] bool hashes_requests(Balance balance);

}  // namespace weir::config
