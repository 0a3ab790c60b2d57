// NameService: a NameWatch at work on the control thread, with its resolver and the loop's clock.
#pragma once

#include <functional>
#include <string>

#include "control/name_watch.h"
#include "loop/loop.h"

namespace weir::control {

class NameService final : private loop::Source {
 public:
  // `changed` and `say` are called in the loop's turn, `say` by follow() and settle() too.
  NameService(loop::Loop& loop, std::function<void()> changed,
              std::function<void(const std::string&)> say);
  ~NameService();

  void follow(const config::Config& config);
  // Waits until every name has had an answer, or until the time is over. Before the loop turns:
  // so that a start whose name servers are well does not begin without servers. What is learnt
  // here is not told by `changed`: expand() is to follow.
  void settle(std::uint64_t at_most_ms);

  [[nodiscard]] config::Config expand(const config::Config& config) {
    return watch_.expand(config);
  }
  [[nodiscard]] NameMetrics metrics() const { return watch_.metrics(); }

 private:
  void run() override;
  void expire() override;
  void take_answers(std::uint64_t now_ms);
  void set_alarm();

  loop::Loop& loop_;
  os::Resolver resolver_;
  NameWatch watch_;
};

}  // namespace weir::control
