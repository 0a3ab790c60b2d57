#include "config/report.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "config/text.h"

namespace weir::config {
namespace {

// Longer lines are stored in part: a diagnostic must not cost more than the line's neighbourhood.
constexpr std::size_t kSourceBytesMax = 400;
constexpr std::uint32_t kSourceLead = 100;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

// Byte offset of the character at `column`, or the end.
std::size_t offset_of(std::string_view line, std::uint32_t column) {
  std::size_t offset = 0;
  for (std::uint32_t i = 1; i < column && offset < line.size(); ++i) {
    offset += decode_utf8(line.substr(offset)).bytes;
  }
  return offset;
}

bool is_syntax(Code code) {
  return code == Code::syntax || code == Code::missing_quotes || code == Code::defined_twice ||
         code == Code::foreign_directive;
}

bool may_follow_from_syntax(Code code) {
  return code == Code::missing_key || code == Code::nothing_to_do || code == Code::empty_value ||
         severity_of(code) == Severity::warning;
}

}  // namespace

Report::Report(std::string_view text, std::string_view file)
    : file_(file), lines_(lines_of(text)) {}

std::string_view Report::line(std::uint32_t number) const {
  return number >= 1 && number <= lines_.size() ? lines_[number - 1] : std::string_view{};
}

void Report::place(Diagnostic& diagnostic) const {
  Span& span = diagnostic.span;
  const std::string_view whole = line(span.line);
  const std::size_t start = offset_of(whole, span.column);
  if (span.length == 0) {
    const std::size_t end = std::max(start, whole.find_last_not_of(" \t") + 1);
    for (std::size_t at = start; at < end; at += decode_utf8(whole.substr(at)).bytes) {
      ++span.length;
    }
    span.length = std::max(span.length, 1u);
  }
  if (whole.size() <= kSourceBytesMax) {
    diagnostic.source = whole;
    return;
  }
  diagnostic.source_column = span.column - std::min(span.column - 1, kSourceLead);
  const std::size_t from = offset_of(whole, diagnostic.source_column);
  std::size_t to = from;
  while (to < whole.size() && to < from + kSourceBytesMax) {
    to += decode_utf8(whole.substr(to)).bytes;
  }
  diagnostic.source = whole.substr(from, to - from);
}

void Report::add(Code code, Span span, std::string message, std::string label, std::string help) {
  const bool error = severity_of(code) == Severity::error;
  std::size_t& stored = error ? stored_.errors : stored_.warnings;
  if (stored >= kMax) return;
  ++stored;
  Diagnostic diagnostic;
  diagnostic.code = code;
  diagnostic.file = file_;
  diagnostic.span = span;
  diagnostic.message = std::move(message);
  diagnostic.label = std::move(label);
  diagnostic.help = std::move(help);
  if (error && full()) {
    diagnostic = Diagnostic();
    diagnostic.code = Code::too_many;
    diagnostic.message = "too many errors; the rest is not shown";
    diagnostic.file = file_;
  }
  if (diagnostic.span.line != 0) place(diagnostic);
  found_.push_back(std::move(diagnostic));
}

void Report::add(Code code, Span span, Problem problem) {
  add(code, span, std::move(problem.what), std::move(problem.fix));
}

bool Report::has(Code code) const {
  return std::ranges::any_of(found_, [&](const Diagnostic& d) { return d.code == code; });
}

bool Report::has_errors() const { return count(found_).errors > 0; }

void Report::drop_consequences() {
  std::set<std::uint32_t> broken;
  for (const Diagnostic& diagnostic : found_) {
    if (is_syntax(diagnostic.code)) broken.insert(diagnostic.span.line);
  }
  std::erase_if(found_, [&](const Diagnostic& d) {
    return !is_syntax(d.code) && (may_follow_from_syntax(d.code) || broken.contains(d.span.line));
  });
}

void Report::drop(Code code) {
  std::erase_if(found_, [&](const Diagnostic& d) { return d.code == code; });
}

std::vector<Diagnostic> Report::take() {
  const auto place_of = [](const Diagnostic& d) {
    const std::uint32_t line =
        d.span.line == 0 ? std::numeric_limits<std::uint32_t>::max() : d.span.line;
    return std::pair{line, d.span.column};
  };
  std::ranges::stable_sort(found_, {}, place_of);
  return std::exchange(found_, {});
}

}  // namespace weir::config
