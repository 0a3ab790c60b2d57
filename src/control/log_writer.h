// LogWriter: the one thread that writes the logs, because a disk can block.
//
// It takes lines from the workers' rings and writes them: access lines to the access log, events to
// standard error. What cannot be written is dropped and counted, never waited for by a worker.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/result.h"
#include "os/process.h"
#include "proxy/log_ring.h"

namespace weir::control {

class LogWriter {
 public:
  // `access_path`: a file, "-" for standard output, or empty for no access log. The error is a
  // sentence.
  [[nodiscard]] static Result<std::unique_ptr<LogWriter>, std::string> open(
      const std::string& access_path, unsigned workers);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Before start(). Null without an access log.
  [[nodiscard]] proxy::LogRing* access_ring(unsigned worker);
  [[nodiscard]] proxy::LogRing* event_ring(unsigned worker) { return event_rings_[worker].get(); }

  void start();
  // Opens the access log's path anew before the next line: after a rotation.
  void reopen();
  // Writes what is left and ends the thread; a reader that takes nothing is not waited for longer
  // than a second.
  void stop();
  // One line for the operator, from the control thread, which must not block either.
  void say(std::string_view line);

  // Lines that the file or standard error did not take: a full disk, a closed pipe.
  [[nodiscard]] std::uint64_t lines_unwritten() const {
    return lines_unwritten_.read() + lines_unsaid_.read();
  }

 private:
  LogWriter() = default;
  void run();
  bool write_pending();
  bool write_ring(proxy::LogRing& ring, const os::Fd& file);
  void complain(const os::Fd& file, os::IoStatus status);
  [[nodiscard]] os::IoStatus write_pending_to(const os::Fd& file, std::string_view& rest);
  void reopen_if_asked();

  proxy::LogSignal signal_;
  std::string access_path_;
  os::Fd access_;
  os::Fd events_;
  std::vector<std::unique_ptr<proxy::LogRing>> access_rings_;
  std::vector<std::unique_ptr<proxy::LogRing>> event_rings_;  // The last one is the control's.
  std::string pending_;
  Counter lines_unwritten_;
  Counter lines_unsaid_;  // By the control thread: its ring was full.
  std::atomic<bool> stopping_{false};
  std::atomic<bool> reopen_{false};
  int stop_waits_left_ = 0;  // Of kWriteWaitMs each, once stopping.
  std::uint64_t complained_ns_ = 0;
  os::Thread thread_;
};

}  // namespace weir::control
