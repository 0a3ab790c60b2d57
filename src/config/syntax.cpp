#include "config/syntax.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "config/slip.h"
#include "config/text.h"

namespace weir::config {
namespace {

// Each slip costs one more parse of the file.
constexpr int kSlipsMax = 50;

std::size_t byte_of(std::string_view line, std::uint32_t column) {
  std::size_t at = 0;
  for (std::uint32_t i = 1; i < column && at < line.size(); ++i) {
    at += decode_utf8(line.substr(at)).bytes;
  }
  return at;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty() || &line != lines.data()) text += '\n';
    text += line;
  }
  return text;
}

// Parses, explains, patches and parses again.
class Reader {
 public:
  Reader(std::string_view text, Report& report) : text_(text), report_(report) {}

  std::optional<Value> read() {
    for (int slips = 0; slips < kSlipsMax; ++slips) {
      auto document = parse_document(text_);
      if (document) return std::move(*document);
      if (!handle(document.error())) return std::nullopt;
    }
    return std::nullopt;
  }

 private:
  bool handle(const ParseFailure& failure) {
    if (lines_.empty()) lines_ = split_lines(text_);
    const std::size_t index = std::min<std::size_t>(failure.line, lines_.size()) - 1;
    std::string& line = lines_[index];
    const bool carriage_return = line.ends_with('\r');
    if (carriage_return) line.pop_back();
    Slip slip = explain({line, byte_of(line, failure.column), failure.reason});
    const auto number = static_cast<std::uint32_t>(index + 1);
    const bool again = number == last_line_ && slip.code != Code::missing_quotes;
    last_line_ = number;
    // One closing brace of a foreign block says no more than the block's first line did.
    const bool brace = any_ && slip.marks_brace;
    any_ = true;
    if (!again && !brace) add(slip, line, number);
    if (again || !slip.patch) return false;
    line.replace(slip.from, slip.to - slip.from, *slip.patch);
    if (carriage_return) line.push_back('\r');
    text_ = join_lines(lines_);
    return true;
  }

  void add(Slip& slip, std::string_view line, std::uint32_t number) {
    const std::string_view marked = line.substr(slip.from, slip.to - slip.from);
    const Span span = {number,
                       static_cast<std::uint32_t>(characters(line.substr(0, slip.from)) + 1),
                       static_cast<std::uint32_t>(std::max<std::size_t>(characters(marked), 1))};
    report_.add(slip.code, span, std::move(slip.message), std::move(slip.label),
                std::move(slip.help));
  }

  std::string text_;
  std::vector<std::string> lines_;
  Report& report_;
  std::uint32_t last_line_ = 0;
  bool any_ = false;
};

}  // namespace

bool check_bytes(std::string_view text, Report& report) {
  constexpr std::array<std::string_view, 2> kUtf16 = {"\xFF\xFE", "\xFE\xFF"};
  if (std::ranges::any_of(kUtf16, [&](std::string_view mark) { return text.starts_with(mark); })) {
    report.add(Code::not_text, {}, "the file is UTF-16 text", {}, "save it as UTF-8");
    return false;
  }
  Span here = {1, 1, 1};
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    if (!next.valid || next.code == 0) {
      report.add(Code::not_text, here,
                 next.valid ? "the file has a NUL byte" : "the file is not valid UTF-8",
                 next.valid ? "this is not a text file" : "save the file as UTF-8");
      return false;
    }
    text.remove_prefix(next.bytes);
    here = next.code == '\n' ? Span{here.line + 1, 1, 1} : Span{here.line, here.column + 1, 1};
  }
  return true;
}

std::optional<Value> read_document(std::string_view text, Report& report) {
  return Reader(text, report).read();
}

}  // namespace weir::config
