#include "proxy/hand_over.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace weir::proxy {
namespace {

// A client between two workers. Nobody has it but the mailbox; delivered, it is the worker's.
class Arrival final : public loop::Message {
 public:
  Arrival(Worker& to, MovingClient client) : to_(to), client_(std::move(client)) {}

  void deliver() override {
    const std::unique_ptr<Arrival> self(this);
    to_.hand_over().arrived();
    to_.adopt(client_);
  }

 private:
  Worker& to_;
  MovingClient client_;
};

}  // namespace

loop::Loop& HandOver::loop() const { return worker_.loop(); }

// Who has not published for long has not finished a turn since: it sleeps, or is stuck in one.
std::uint32_t HandOver::load(std::uint64_t now_ms) const {
  if ((expected_.load(std::memory_order_relaxed) & kClosed) != 0) return kAway;
  const std::uint64_t published = published_.load(std::memory_order_relaxed);
  // Its clock may be a turn ahead of ours.
  constexpr std::uint32_t kAheadMs = 60'000;
  const std::uint32_t age_ms =
      static_cast<std::uint32_t>(now_ms) - static_cast<std::uint32_t>(published) + kAheadMs;
  if (age_ms <= kAheadMs + 2 * tuning_.interval_ms) {
    return static_cast<std::uint32_t>(published >> 32);
  }
  return loop().mailbox().asleep() ? 0 : kAllWork;
}

bool HandOver::expect() {
  std::uint32_t expected = expected_.load(std::memory_order_relaxed);
  do {
    if ((expected & kClosed) != 0) return false;
  } while (!expected_.compare_exchange_weak(expected, expected + 1, std::memory_order_acq_rel));
  return true;
}

void HandOver::open() {
  if (workers_ == nullptr || workers_->size() < 2 || tuning_.interval_ms == 0) return;
  work_.resize(workers_->size());
  loop().measure_busy();
  looked_ns_ = loop().now_ns();
  next_look_ms_ = loop().now_ms() + tuning_.interval_ms;
  publish(0);
  expected_.fetch_and(~kClosed, std::memory_order_release);
}

void HandOver::close() {
  expected_.fetch_or(kClosed, std::memory_order_acq_rel);
  next_look_ms_ = UINT64_MAX;
  shift_ = {};
}

// What was given is not yet in what the others have published: the look after that decides nothing.
void HandOver::look() {
  const std::uint64_t now_ms = loop().now_ms();
  const std::uint32_t own = own_work();
  publish(own);
  const WorkCauses causes = std::exchange(causes_, {});
  shift_ = {};
  ++looks_;
  if (!std::exchange(gave_, false) && own >= tuning_.least) {
    for (std::size_t i = 0; i < work_.size(); ++i) {
      work_[i] = i == worker_.index() ? own : (*workers_)[i]->hand_over().load(now_ms);
    }
    give(even_out(work_, worker_.index(), causes, tuning_));
  }
  next_look_ms_ = now_ms + tuning_.interval_ms;
}

std::uint32_t HandOver::own_work() {
  const std::uint64_t busy_ns = loop().counters().busy_ns.read();
  const std::uint64_t now_ns = loop().now_ns();
  const std::uint64_t worked_ns = busy_ns - std::exchange(busy_before_ns_, busy_ns);
  const std::uint64_t passed_ns = now_ns - std::exchange(looked_ns_, now_ns);
  if (worked_ns >= passed_ns) return kAllWork;
  return static_cast<std::uint32_t>(worked_ns * kAllWork / passed_ns);
}

void HandOver::publish(std::uint32_t work) {
  const auto now = static_cast<std::uint32_t>(loop().now_ms());
  published_.store(std::uint64_t{work} << 32 | now, std::memory_order_relaxed);
}

bool HandOver::begin(std::uint32_t& left) {
  CHECK(left > 0);
  --left;
  if ((*workers_)[shift_.to]->hand_over().expect()) return true;
  shift_ = {};
  return false;
}

void HandOver::send(MovingClient client) {
  WorkerCounters& counters = worker_.counters();
  (client.served ? counters.clients_handed_over : counters.fresh_handed_over).add();
  gave_ = true;
  Worker& to = *(*workers_)[shift_.to];
  to.loop().mailbox().post(*std::make_unique<Arrival>(to, std::move(client)).release());
}

}  // namespace weir::proxy
