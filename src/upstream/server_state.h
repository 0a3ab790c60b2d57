// ServerState: what all workers must agree on about one server, and what they have counted.
//
// A server's identity is backend name + server name + address. The state outlives snapshots: the
// control thread's ServerRegistry creates it when a snapshot first names the identity and drops it
// when no snapshot that any worker still uses names it. Workers touch the atomics and their own
// slot of the counters, nothing else.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/histogram.h"
#include "health/outliers.h"
#include "health/state.h"
#include "loop/mailbox.h"
#include "net/traffic_counters.h"
#include "os/address.h"

namespace weir::upstream {

// Written by one worker, read by the metrics.
struct alignas(64) ServerCounters {
  Counter requests;         // Attempts that got a connection.
  Counter connects;         // connect() calls.
  Counter connects_failed;  // Of those: refused, unreachable, timed out.
  Counter reuses;           // Requests sent on a kept connection.
  Counter responses;        // Final response heads received.
  Counter errors;           // Attempts that got a connection and no whole answer.
  Counter connections_active;
  Counter connections_idle;
  Counter idle_poisoned;    // Connections dropped because of bytes behind an answer's end.
  Counter idle_max_hit;     // Connections not kept because enough were.
  Counter answers;          // Attempts that say something about the server: answered, or broken.
  Counter answers_bad;      // Of those: 500, 502, 503, 504, resets, timeouts, broken or cut.
  Counter ejections;        // For errors in a row, and for connections that failed.
  Counter breaker_hit;      // Times it was passed over for its pending connections or retries.
  Histogram first_byte_us;  // Start of the attempt, connecting included, to the final head.
  net::Traffic traffic;     // Without that of health checks. Part of the worker's.
  // For health/silence.h, not on the page of metrics:
  Counter unanswered;   // Requests sent whole since the last answer,
  Counter answered_ms;  // which came then; 0: never.
};

class ServerState;

// The control thread's prober, as a server sees it.
class ProbeCallee {
 public:
  // So many requests were sent that the server is to be probed.
  virtual void asked(ServerState& server) = 0;

 protected:
  ~ProbeCallee() = default;
};

class ServerState {
 public:
  ServerState(std::string backend, std::string name, os::Address address, std::string address_text,
              unsigned worker_count)
      : backend_(std::move(backend)),
        name_(std::move(name)),
        address_(address),
        address_text_(std::move(address_text)),
        worker_count_(worker_count),
        counters_(std::make_unique<ServerCounters[]>(worker_count)),
        probe_call_(*this) {}

  [[nodiscard]] const std::string& backend() const { return backend_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const os::Address& address() const { return address_; }
  [[nodiscard]] const std::string& address_text() const { return address_text_; }
  [[nodiscard]] unsigned worker_count() const { return worker_count_; }
  [[nodiscard]] ServerCounters& counters(unsigned worker) { return counters_[worker]; }
  [[nodiscard]] const ServerCounters& counters(unsigned worker) const { return counters_[worker]; }

  // A request has been sent. Every `every` of them the prober is told, through its mailbox.
  void count_towards_probe(std::uint32_t every, loop::Mailbox& control) {
    if (sent_since_probe_.fetch_add(1, std::memory_order_relaxed) + 1 < every) return;
    if (probe_call_.under_way.exchange(true, std::memory_order_acq_rel)) return;
    sent_since_probe_.store(0, std::memory_order_relaxed);
    control.post(probe_call_);
  }
  // Control thread: who is told; null for nobody.
  ProbeCallee* probe_callee = nullptr;

  // Read at every pick: what workers and the control thread have found out.
  // A packed health::Passive. Workers and the control thread.
  alignas(64) std::atomic<std::uint64_t> passive{0};
  // Requests under way over all workers; of them, those that wait for their connection, and those
  // that are a request's second attempt or later.
  std::atomic<std::uint32_t> in_flight{0};
  std::atomic<std::uint32_t> pending{0};
  std::atomic<std::uint32_t> retries{0};
  // The active check's verdict (health/active.h). Control thread.
  std::atomic<std::uint8_t> active{0};
  // What an operator asks for, and what the server asks for itself (health/state.h). Control
  // thread.
  std::atomic<std::uint8_t> administrative{0};
  std::atomic<std::uint8_t> agent{0};
  // Ejections for what the control thread has seen, by health::Outlier::Reason. Control thread.
  std::array<Counter, health::Outlier::kReasons> outlier_ejections;
  // When the slow start began, milliseconds; 0: none under way.
  std::atomic<std::uint64_t> up_since_ms{0};
  // A packed balance::PeakEwma. Workers.
  std::atomic<std::uint64_t> latency{0};

  // The server's own report: entries << 32 | errors, when it came (0: none), and what was sent to
  // it since. Control thread; the last one workers too.
  std::atomic<std::uint64_t> report{0};
  std::atomic<std::uint64_t> report_at_ms{0};
  std::atomic<std::uint32_t> sent_since_report{0};
  // What the server asks for: its share in percent of its weight, and a limit of its own (0: none).
  std::atomic<std::uint32_t> agent_percent{100};
  std::atomic<std::uint32_t> agent_limit{0};

  // Returns from ejections of all kinds, and changes of the two wishes by what was wished for.
  // Control thread; behind what picks read.
  Counter returns;
  std::array<Counter, health::kWishes> wishes;

 private:
  struct ProbeCall final : loop::Message {
    explicit ProbeCall(ServerState& of) : server(of) {}
    void deliver() override {
      under_way.store(false, std::memory_order_release);
      if (server.probe_callee != nullptr) server.probe_callee->asked(server);
    }
    ServerState& server;
    std::atomic<bool> under_way{false};
  };

  std::string backend_;
  std::string name_;
  os::Address address_;
  std::string address_text_;
  unsigned worker_count_;
  std::unique_ptr<ServerCounters[]> counters_;
  std::atomic<std::uint32_t> sent_since_probe_{0};
  ProbeCall probe_call_;
};

}  // namespace weir::upstream
