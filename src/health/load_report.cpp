#include "health/load_report.h"

#include <algorithm>
#include <limits>

namespace weir::health {

namespace {

constexpr bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

// 1*DIGIT; the largest number for all that do not fit.
std::optional<std::uint32_t> parse_number(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, is_digit)) return std::nullopt;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
  std::uint64_t number = 0;
  for (const char digit : text) {
    number = std::min(number * 10 + static_cast<std::uint64_t>(digit - '0'), kMax);
  }
  return static_cast<std::uint32_t>(number);
}

// `word` is in lower case.
bool same_word(std::string_view text, std::string_view word) {
  return std::ranges::equal(text, word, [](char byte, char lower) {
    return (byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + ('a' - 'A')) : byte) == lower;
  });
}

std::optional<Wish> parse_wish(std::string_view text) {
  struct Word {
    std::string_view text;
    Wish wish;
  };
  constexpr Word kWords[] = {
      {"up", Wish::none},      {"ready", Wish::none},        {"drain", Wish::drain},
      {"down", Wish::down},    {"fail", Wish::down},         {"failed", Wish::down},
      {"stopped", Wish::down}, {"maint", Wish::maintenance},
  };
  for (const Word& word : kWords) {
    if (same_word(text, word.text)) return word.wish;
  }
  return std::nullopt;
}

// Stores what is told for the first time.
template <typename T>
bool tell_once(std::optional<T>& slot, std::optional<T> value) {
  if (slot || !value) return false;
  slot = value;
  return true;
}

bool tell_percent(LoadReport& report, std::optional<std::uint32_t> percent) {
  if (percent) percent = std::min(*percent, LoadReport::kPercentMax);
  return tell_once(report.percent, percent);
}

// Removes the first line with its LF or CRLF from `rest`.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool only_empty_lines(std::string_view rest) {
  while (!rest.empty()) {
    if (!take_line(rest).empty()) return false;
  }
  return true;
}

std::optional<LoadReport> parse_two_lines(std::string_view body) {
  const auto errors = parse_number(take_line(body));
  const auto entries = parse_number(take_line(body));
  if (!errors || !entries || !only_empty_lines(body)) return std::nullopt;
  LoadReport report;
  report.load = ReportedLoad{*errors, *entries};
  return report;
}

bool tell_agent_word(LoadReport& report, std::string_view word) {
  constexpr std::string_view kMaxconn = "maxconn:";
  if (word.ends_with('%')) {
    return tell_percent(report, parse_number(word.substr(0, word.size() - 1)));
  }
  if (same_word(word.substr(0, kMaxconn.size()), kMaxconn)) {
    return tell_once(report.maxconn, parse_number(word.substr(kMaxconn.size())));
  }
  const std::optional<Wish> wish = parse_wish(word);
  if (wish) report.wish = stricter(*wish, report.wish.value_or(Wish::none));
  return wish.has_value();
}

std::optional<LoadReport> parse_agent_line(std::string_view body) {
  std::string_view line = take_line(body);
  if (!only_empty_lines(body)) return std::nullopt;
  line = line.substr(0, line.find('#'));  // What follows is for people.
  LoadReport report;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t,"), line.size());
    if (end > 0 && !tell_agent_word(report, line.substr(0, end))) return std::nullopt;
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return report;
}

// Reads one flat JSON object (RFC 8259), no more than a report needs of it.
class ObjectReader {
 public:
  explicit ObjectReader(std::string_view text) : rest_(text) {}

  [[nodiscard]] std::optional<LoadReport> read() {
    if (!take('{')) return std::nullopt;
    if (!take('}')) {
      do {
        if (!read_member()) return std::nullopt;
      } while (take(','));
      if (!take('}')) return std::nullopt;
    }
    skip_blanks();
    if (!rest_.empty() || errors_.has_value() != entries_.has_value()) return std::nullopt;
    if (errors_) report_.load = ReportedLoad{*errors_, *entries_};
    return report_;
  }

 private:
  bool read_member() {
    const std::optional<std::string_view> name = take_string();
    if (!name || !take(':')) return false;
    if (*name == "errors") return tell_once(errors_, take_integer());
    if (*name == "entries") return tell_once(entries_, take_integer());
    if (*name == "maxconn") return tell_once(report_.maxconn, take_integer());
    if (*name == "weight") return tell_percent(report_, take_integer());
    if (*name == "state") return tell_once(report_.wish, parse_wish(take_string().value_or("")));
    return skip_plain_value();
  }

  bool skip_plain_value() {
    skip_blanks();
    if (rest_.starts_with('"')) return take_string().has_value();
    return take_word("true") || take_word("false") || take_word("null") || take_number();
  }

  void skip_blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  // Takes the bytes if they come next, after blanks.
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool take(char byte) { return take_word({&byte, 1}); }

  std::string_view take_digits() {
    const auto* end = std::ranges::find_if_not(rest_, is_digit);
    const std::string_view digits(rest_.begin(), end);
    rest_.remove_prefix(digits.size());
    return digits;
  }

  // RFC 8259 6: no needless zero in front.
  std::optional<std::string_view> take_whole_part() {
    const std::string_view digits = take_digits();
    if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
    return digits;
  }

  // The separator that must follow a value ends it: "1.5" leaves ".5" behind, and that fails.
  std::optional<std::uint32_t> take_integer() {
    skip_blanks();
    const std::optional<std::string_view> digits = take_whole_part();
    return digits ? parse_number(*digits) : std::nullopt;
  }

  bool take_number() {
    take('-');
    if (!take_whole_part()) return false;
    if (rest_.starts_with('.')) {
      rest_.remove_prefix(1);
      if (take_digits().empty()) return false;
    }
    if (!rest_.starts_with('e') && !rest_.starts_with('E')) return true;
    rest_.remove_prefix(1);
    if (rest_.starts_with('+') || rest_.starts_with('-')) rest_.remove_prefix(1);
    return !take_digits().empty();
  }

  // The raw bytes between the quotes; a name or a word with an escape in it is none we know.
  std::optional<std::string_view> take_string() {
    constexpr std::string_view kEscaped = "\"\\/bfnrtu";
    if (!take('"')) return std::nullopt;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        const std::string_view text = rest_.substr(0, i);
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (static_cast<unsigned char>(rest_[i]) < 0x20) return std::nullopt;
      if (rest_[i] == '\\' && (++i == rest_.size() || kEscaped.find(rest_[i]) == kEscaped.npos)) {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  std::string_view rest_;
  LoadReport report_;
  std::optional<std::uint32_t> errors_;
  std::optional<std::uint32_t> entries_;
};

std::optional<LoadReport> parse_any(std::string_view body) {
  if (body[body.find_first_not_of(" \t\r\n")] == '{') return ObjectReader(body).read();
  if (auto report = parse_two_lines(body)) return report;
  return parse_agent_line(body);
}

}  // namespace

std::optional<LoadReport> parse_load_report(std::string_view body) {
  if (body.size() > kReportBytesMax) return std::nullopt;
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return std::nullopt;
  const std::optional<LoadReport> report = parse_any(body);
  if (report == LoadReport{}) return std::nullopt;
  return report;
}

}  // namespace weir::health
