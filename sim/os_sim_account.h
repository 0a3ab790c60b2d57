// Account: on whose account memory is allocated at this moment.
//
// A fiber that runs weir's own code says so with an Account. What the simulated kernel does inside
// of a call, and every other fiber meanwhile, is none of weir's.
#pragma once

#include <utility>

namespace weir::sim {

class Account {
 public:
  enum class Of : unsigned char {
    simulator,
    weir
  };

  explicit Account(Of whose) : before_(std::exchange(current_, whose)) {}
  ~Account() { current_ = before_; }
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  [[nodiscard]] static Of current() { return current_; }

 private:
  static inline Of current_ = Of::simulator;
  Of before_;
};

}  // namespace weir::sim
