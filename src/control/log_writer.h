// LogWriter: the one thread that writes the logs, because a disk can block.
//
// It takes lines from the workers' rings and writes them: access lines to the access log, events to
// standard error. A reader of one that takes nothing does not hold up the other. What cannot be
// written is dropped and counted, never waited for by a worker.
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
  [[nodiscard]] proxy::LogRing* event_ring(unsigned worker) { return events_.rings[worker].get(); }

  void start();
  // Opens the access log's path anew before the next line: after a rotation.
  void reopen();
  // Writes what is left and ends the thread; a reader that takes nothing is not waited for longer
  // than a second, or two seconds when there are two of them.
  void stop();
  // Whole lines for the operator, from the control thread, which must not block either.
  void say(std::string_view lines);

  // Lines that the file or standard error did not take: a full disk, a closed pipe.
  [[nodiscard]] std::uint64_t lines_unwritten() const {
    return lines_unwritten_.read() + lines_unsaid_.read();
  }

 private:
  // A file, the rings whose lines go there, and what was taken from them but not written yet.
  struct Output {
    os::Fd file;
    std::vector<std::unique_ptr<proxy::LogRing>> rings;
    std::size_t next_ring = 0;
    std::string pending;
    std::size_t written = 0;  // Bytes of `pending`.

    [[nodiscard]] bool waits() const { return written < pending.size(); }
  };

  LogWriter() = default;
  void run();
  bool write_some();
  bool write_some(Output& out);
  [[nodiscard]] bool flush(Output& out);
  void complain(os::IoStatus status);
  void note(const std::string& text);
  void reopen_if_asked();

  proxy::LogSignal signal_;
  std::string access_path_;
  Output access_;
  Output events_;  // Its last ring is the control thread's.
  Counter lines_unwritten_;
  Counter lines_unsaid_;  // By the control thread: its ring was full.
  std::atomic<bool> stopping_{false};
  std::atomic<bool> reopen_{false};
  std::uint64_t complained_ns_ = 0;
  os::Thread thread_;
};

}  // namespace weir::control
