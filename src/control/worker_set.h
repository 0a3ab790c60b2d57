// WorkerSet: the workers, their threads, and their listening sockets.
//
// The control thread makes everything, starts the threads, and ends them. Every bound address has
// one listening socket per worker (SO_REUSEPORT); of a unix socket every worker has a descriptor of
// its own for the same socket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "control/log_writer.h"
#include "os/os.h"
#include "os/process.h"
#include "proxy/worker.h"

namespace weir::control {

class WorkerSet {
 public:
  struct Options {
    unsigned workers = 1;
    loop::Trigger trigger = loop::Trigger::edge;
    std::uint64_t descriptor_limit = 1024;
    proxy::WorkTuning work{};
  };
  // Binds every address and makes the workers; nothing runs yet. `all_stopped` is called on the
  // control thread when the last worker has ended. The error is a sentence that says what to do.
  [[nodiscard]] static Result<std::unique_ptr<WorkerSet>, std::string> create(
      const std::vector<config::Listener>& listeners, const Options& options, LogWriter& logs,
      loop::Mailbox& control, std::function<void()> all_stopped);
  ~WorkerSet();
  WorkerSet(const WorkerSet&) = delete;
  WorkerSet& operator=(const WorkerSet&) = delete;

  void start();
  // Instead of start(), for a caller that turns every worker itself and says when it has stopped.
  void start_without_threads() { running_ = workers_.size(); }
  void ended(std::size_t worker) { control_->post(ports_[worker]->stopped); }
  // Stop accepting and finish; or end at once. Asking again does nothing.
  void drain();
  void stop();
  // Waits for the threads to end; after all_stopped.
  void join();

  [[nodiscard]] const std::vector<proxy::Worker*>& workers() const { return pointers_; }
  [[nodiscard]] const std::vector<std::unique_ptr<proxy::ListenerState>>& listeners() const {
    return listeners_;
  }
  [[nodiscard]] const std::vector<std::string>& listener_names() const { return names_; }
  [[nodiscard]] const std::vector<int>& cpus() const { return cpus_; }

 private:
  // Messages to one worker, and from it.
  struct Port {
    struct Drain final : loop::Message {
      void deliver() override { worker->drain(); }
      proxy::Worker* worker = nullptr;
    } drain;
    struct Stop final : loop::Message {
      void deliver() override { worker->stop(); }
      proxy::Worker* worker = nullptr;
    } stop;
    struct Stopped final : loop::Message {
      void deliver() override { set->worker_stopped(); }
      WorkerSet* set = nullptr;
    } stopped;
  };

  WorkerSet() = default;
  [[nodiscard]] std::size_t pipes_max(const Options& options) const;
  [[nodiscard]] std::string bind(std::uint32_t index, const config::Endpoint& endpoint,
                                 const config::Listener& listener);
  void worker_stopped();

  loop::Mailbox* control_ = nullptr;
  std::function<void()> all_stopped_;
  std::vector<std::unique_ptr<proxy::ListenerState>> listeners_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  std::vector<proxy::Worker*> pointers_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<os::SocketFile> socket_files_;  // By address; most have none.
  std::vector<int> cpus_;                     // By worker.
  std::vector<os::Thread> threads_;
  std::size_t running_ = 0;
  bool drain_posted_ = false;  // A message is under way once at most.
  bool stop_posted_ = false;
};

}  // namespace weir::control
