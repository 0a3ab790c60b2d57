#include "control/metrics_text.h"

#include <array>

#include "config/text.h"
#include "http/number.h"

namespace weir::control {
namespace {

// Backslash, quote and line feed are escaped as the format asks. It also asks for UTF-8, and one
// bad byte would cost the whole page: such bytes and controls are shown as \xNN.
void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  while (!text.empty()) {
    const config::Decoded next = config::decode_utf8(text);
    if (next.code == '\\' || next.code == '"') {
      out += '\\';
      out += text.front();
    } else if (next.code == '\n') {
      out += "\\n";
    } else if (next.valid && next.code >= 0x20 && next.code != 0x7f) {
      out += text.substr(0, next.bytes);
    } else {
      const auto byte = static_cast<unsigned char>(text.front());
      out += "\\\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 0xf];
    }
    text.remove_prefix(next.bytes);
  }
}

void append_number(std::string& out, std::uint64_t number) {
  char digits[http::kDecimalDigitsMax];
  out.append(digits, http::write_decimal(digits, number));
}

// Seconds, exactly.
void append_seconds(std::string& out, std::uint64_t us) {
  constexpr std::uint64_t kUsPerSecond = 1'000'000;
  append_number(out, us / kUsPerSecond);
  std::string fraction = std::to_string(kUsPerSecond + us % kUsPerSecond);
  fraction.front() = '.';
  out += fraction;
}

// What OpenTelemetry advises for HTTP, with finer ones in front, since a proxy's own part is below
// a millisecond.
struct Bound {
  std::uint64_t us;
  std::string_view seconds;
};
constexpr std::array kBounds = {
    Bound{100, "0.0001"},    Bound{250, "0.00025"},  Bound{500, "0.0005"},
    Bound{1'000, "0.001"},   Bound{2'500, "0.0025"}, Bound{5'000, "0.005"},
    Bound{10'000, "0.01"},   Bound{25'000, "0.025"}, Bound{50'000, "0.05"},
    Bound{75'000, "0.075"},  Bound{100'000, "0.1"},  Bound{250'000, "0.25"},
    Bound{500'000, "0.5"},   Bound{750'000, "0.75"}, Bound{1'000'000, "1"},
    Bound{2'500'000, "2.5"}, Bound{5'000'000, "5"},  Bound{7'500'000, "7.5"},
    Bound{10'000'000, "10"},
};

}  // namespace

std::string make_labels(
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += key;
    out += "=\"";
    append_escaped(out, value);
    out += '"';
  }
  return out;
}

Family::Family(std::string& out, std::string_view name, std::string_view type,
               std::string_view help)
    : out_(out), name_(name) {
  put({"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"});
}

void Family::sample(std::string_view labels, std::uint64_t value) {
  begin_sample("", labels, "");
  end_sample(value);
}

void Family::seconds(std::string_view labels, std::uint64_t value_us) {
  begin_sample("", labels, "");
  append_seconds(out_, value_us);
  out_ += '\n';
}

void Family::histogram(std::string_view labels, const HistogramCounts& counts) {
  for (const Bound& bound : kBounds) {
    begin_sample("_bucket", labels, bound.seconds);
    end_sample(counts.count_at_most(bound.us));
  }
  begin_sample("_bucket", labels, "+Inf");
  end_sample(counts.count());
  begin_sample("_sum", labels, "");
  append_seconds(out_, counts.sum_us());
  out_ += '\n';
  begin_sample("_count", labels, "");
  end_sample(counts.count());
}

void Family::begin_sample(std::string_view suffix, std::string_view labels,
                          std::string_view bound) {
  put({name_, suffix});
  if (!labels.empty() || !bound.empty()) {
    put({"{", labels});
    if (!bound.empty()) put({labels.empty() ? "" : ",", "le=\"", bound, "\""});
    out_ += '}';
  }
  out_ += ' ';
}

void Family::put(std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) out_ += text;
}

void Family::end_sample(std::uint64_t value) {
  append_number(out_, value);
  out_ += '\n';
}

}  // namespace weir::control
