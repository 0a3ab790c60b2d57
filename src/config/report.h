// Report: collects the diagnostics of one file while it is being read.
//
// Knows the text, so that every diagnostic carries its source line. Borrows the text: it must
// outlive the Report, the diagnostics need not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostics.h"
#include "config/problem.h"

namespace weir::config {

class Report {
 public:
  // More errors than this in one file are a file of another kind; the rest would only hide the
  // cause. As many warnings are kept beside.
  static constexpr std::size_t kMax = 500;

  Report(std::string_view text, std::string_view file);

  // A length of 0 in `span` means: to the end of the line.
  void add(Code code, Span span, std::string message, std::string label = {},
           std::string help = {});
  // `what` as the message, `fix` as the label.
  void add(Code code, Span span, Problem problem);

  [[nodiscard]] bool has(Code code) const;
  [[nodiscard]] bool has_errors() const;
  [[nodiscard]] bool full() const { return stored_.errors >= kMax; }
  [[nodiscard]] std::string_view line(std::uint32_t number) const;

  // After a syntax error the rest was read with the broken pieces taken out: forgets what may only
  // follow from that (findings on those lines, missing things, all warnings).
  void drop_consequences();
  // Forgets the findings with this code: what they miss was named in another finding.
  void drop(Code code);

  // In the order of the file; what concerns the file as a whole comes last.
  [[nodiscard]] std::vector<Diagnostic> take();

 private:
  void place(Diagnostic& diagnostic) const;

  std::string file_;
  std::vector<std::string_view> lines_;
  std::vector<Diagnostic> found_;
  Tally stored_;
};

}  // namespace weir::config
