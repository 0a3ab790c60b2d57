// render_text(): diagnostics the way rustc shows them.
//
//   error[E012]: unknown key `maxcon` in [listener.web]
//     --> /etc/weir/weir.toml:4:1
//      |
//    4 | maxcon = 10
//      | ^^^^^^ did you mean `max_connections`?
//      = help: ...
//
// The source line becomes a row of cells, one per character, each knowing how many terminal columns
// it fills; carets are placed by summing widths, so tabs, wide and combining characters line up.
#include <algorithm>
#include <string>
#include <vector>

#include "config/diagnostics.h"
#include "config/text.h"

namespace weir::config {
namespace {

// Terminal columns for the source line; a longer one is cut around the span.
constexpr std::size_t kSourceColumns = 96;
constexpr std::size_t kContextColumns = 24;  // Kept in front of a span in a cut line.
constexpr std::size_t kTabColumns = 4;
constexpr std::string_view kEllipsis = "…";

struct Palette {
  const char* error = "";
  const char* warning = "";
  const char* frame = "";
  const char* strong = "";
  const char* off = "";
};
constexpr Palette kPlain;
constexpr Palette kColour = {"\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"};

struct Cell {
  std::string bytes;
  std::size_t columns = 1;
};

// Rough East Asian Width (UAX #11): enough for a caret, not a typesetter.
std::size_t columns_of(char32_t c) {
  const bool combining = (c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) ||
                         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
  if (combining) return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                    (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                    (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1F64F) ||
                    (c >= 0x1F900 && c <= 0x1F9FF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

std::vector<Cell> cells_of(std::string_view line) {
  std::vector<Cell> cells;
  while (!line.empty()) {
    const Decoded next = decode_utf8(line);
    if (next.valid && next.code == '\t') {
      cells.push_back({std::string(kTabColumns, ' '), kTabColumns});
    } else {
      std::string bytes = printable(line.substr(0, next.bytes));
      const bool replaced = bytes != line.substr(0, next.bytes);
      cells.push_back({std::move(bytes), replaced ? 1 : columns_of(next.code)});
    }
    line.remove_prefix(next.bytes);
  }
  return cells;
}

std::size_t columns(const std::vector<Cell>& cells, std::size_t from, std::size_t to) {
  std::size_t sum = 0;
  for (std::size_t i = from; i < to && i < cells.size(); ++i) sum += cells[i].columns;
  return sum;
}

struct Excerpt {
  std::string text;
  std::size_t caret = 0;   // Columns in front of the first caret.
  std::size_t carets = 1;  // At least one, also for a span at the end of the line.
};

Excerpt excerpt_of(const Diagnostic& diagnostic) {
  const std::vector<Cell> cells = cells_of(diagnostic.source);
  const std::size_t shift =
      diagnostic.span.column - std::min(diagnostic.span.column, diagnostic.source_column);
  const std::size_t first = std::min<std::size_t>(shift, cells.size());
  const std::size_t last = std::min<std::size_t>(first + diagnostic.span.length, cells.size());
  Excerpt out;
  std::size_t begin = 0;
  if (columns(cells, 0, last) > kSourceColumns) {
    begin = first;
    while (begin > 0 && columns(cells, begin, first) < kContextColumns) --begin;
  }
  if (begin > 0 || diagnostic.source_column > 1) out.text += kEllipsis;
  out.caret = (out.text.empty() ? 0 : 1) + columns(cells, begin, first);
  std::size_t used = 0;
  std::size_t end = begin;
  for (; end < cells.size() && used + cells[end].columns <= kSourceColumns; ++end) {
    used += cells[end].columns;
    out.text += cells[end].bytes;
  }
  if (end < cells.size()) out.text += kEllipsis;
  out.carets = std::max<std::size_t>(columns(cells, first, std::min(last, end)), 1);
  return out;
}

// "help" over several lines is indented under its first.
std::string indented(std::string_view text, std::size_t columns) {
  std::string out;
  for (char c : printable(text, true)) {
    out.push_back(c);
    if (c == '\n') out.append(columns, ' ');
  }
  return out;
}

class Writer {
 public:
  explicit Writer(const Palette& palette) : palette_(palette) {}

  void add(const Diagnostic& diagnostic) {
    const bool error = diagnostic.severity() == Severity::error;
    const char* tint = error ? palette_.error : palette_.warning;
    const std::string number =
        diagnostic.span.line == 0 ? std::string() : std::to_string(diagnostic.span.line);
    const std::string margin(std::max<std::size_t>(number.size(), 1) + 1, ' ');
    out_ += tint + std::string(error ? "error[" : "warning[") + code_text(diagnostic.code) + "]" +
            palette_.off + palette_.strong + ": " + printable(diagnostic.message) + palette_.off +
            "\n";
    out_ += margin + framed("-->") + " " + printable(diagnostic.file);
    if (!number.empty()) out_ += ":" + number + ":" + std::to_string(diagnostic.span.column);
    out_ += "\n";
    if (!number.empty()) add_source(diagnostic, number, margin, tint);
    if (!diagnostic.help.empty()) {
      out_ += margin + " " + framed("=") +
              " help: " + indented(diagnostic.help, margin.size() + 9) + "\n";
    }
  }

  void add_blank_line() { out_ += "\n"; }

  void add_summary(const Tally& tally, std::string_view outcome) {
    const auto plural = [](std::size_t n, const char* word) {
      return std::to_string(n) + " " + word + (n == 1 ? "" : "s");
    };
    out_ += plural(tally.errors, "error") + ", " + plural(tally.warnings, "warning");
    if (!outcome.empty()) out_ += " - " + std::string(outcome);
    out_ += "\n";
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  [[nodiscard]] std::string framed(const std::string& text) const {
    return palette_.frame + text + palette_.off;
  }

  void add_source(const Diagnostic& diagnostic, const std::string& number,
                  const std::string& margin, const char* tint) {
    const Excerpt excerpt = excerpt_of(diagnostic);
    out_ += margin + " " + framed("|") + "\n";
    out_ += " " + framed(number + " |");
    if (!excerpt.text.empty()) out_ += " " + excerpt.text;
    out_ += "\n" + margin + " " + framed("|") + " " + std::string(excerpt.caret, ' ') + tint +
            std::string(excerpt.carets, '^');
    if (!diagnostic.label.empty()) out_ += " " + printable(diagnostic.label);
    out_ += std::string(palette_.off) + "\n";
  }

  const Palette& palette_;
  std::string out_;
};

}  // namespace

std::string render_text(std::span<const Diagnostic> diagnostics, const RenderOptions& options) {
  Writer writer(options.colour ? kColour : kPlain);
  for (std::size_t i = 0; i < diagnostics.size(); ++i) {
    if (i > 0) writer.add_blank_line();
    writer.add(diagnostics[i]);
  }
  writer.add_summary(count(diagnostics), options.outcome);
  return writer.take();
}

}  // namespace weir::config
