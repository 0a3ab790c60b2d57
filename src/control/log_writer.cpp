#include "control/log_writer.h"

#include <algorithm>
#include <utility>

namespace weir::control {
namespace {

// A worker's lines of about a tenth of a second at its fastest.
constexpr std::size_t kAccessRingBytes = std::size_t{4} << 20;
constexpr std::size_t kEventRingBytes = std::size_t{64} << 10;
constexpr int kIdleWaitMs = 10'000;
constexpr int kWriteWaitMs = 100;
constexpr int kStopWaits = 10;  // A second in all.
constexpr std::uint64_t kQuietNs = 60'000'000'000;

Result<os::Fd, std::string> open_access(const std::string& path) {
  if (path != "-") return os::open_for_append(path);
  return os::standard_output();
}

}  // namespace

Result<std::unique_ptr<LogWriter>, std::string> LogWriter::open(const std::string& access_path,
                                                                unsigned workers) {
  std::unique_ptr<LogWriter> writer(new LogWriter);
  writer->access_path_ = access_path;
  writer->events_ = os::standard_error();
  if (!access_path.empty()) {
    Result<os::Fd, std::string> file = open_access(access_path);
    if (!file) return Err(file.error() + "; give another path for the access log");
    writer->access_ = std::move(*file);
  }
  for (unsigned i = 0; i < workers + 1; ++i) {
    writer->event_rings_.push_back(
        std::make_unique<proxy::LogRing>(kEventRingBytes, writer->signal_));
    if (access_path.empty() || i == workers) continue;
    writer->access_rings_.push_back(
        std::make_unique<proxy::LogRing>(kAccessRingBytes, writer->signal_));
  }
  return writer;
}

LogWriter::~LogWriter() { stop(); }

proxy::LogRing* LogWriter::access_ring(unsigned worker) {
  return access_rings_.empty() ? nullptr : access_rings_[worker].get();
}

void LogWriter::start() {
  thread_ = os::start_thread("weir-log", -1, [this] { run(); });
}

void LogWriter::reopen() {
  reopen_.store(true, std::memory_order_seq_cst);
  signal_.notify();
}

void LogWriter::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_seq_cst);
  signal_.notify();
  thread_.join();
}

void LogWriter::run() {
  stop_waits_left_ = kStopWaits;
  while (true) {
    reopen_if_asked();
    if (write_pending()) continue;
    signal_.sleep_begin();
    const bool quiet = !write_pending() && !reopen_.load(std::memory_order_seq_cst);
    if (quiet && stopping_.load(std::memory_order_seq_cst)) return;
    if (quiet) os::wait_readable(signal_.wakeup(), kIdleWaitMs);
    signal_.sleep_end();
  }
}

// False when there was nothing to write.
bool LogWriter::write_pending() {
  bool any = false;
  for (const auto& ring : access_rings_) any |= write_ring(*ring, access_);
  for (const auto& ring : event_rings_) any |= write_ring(*ring, events_);
  return any;
}

bool LogWriter::write_ring(proxy::LogRing& ring, const os::Fd& file) {
  pending_.clear();
  if (!ring.drain(pending_)) return false;
  std::string_view rest = pending_;
  const os::IoStatus status = write_pending_to(file, rest);
  if (status == os::IoStatus::done) return true;
  lines_unwritten_.add(static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n')));
  complain(file, status);
  return true;
}

// Waits for a slow reader as long as weir runs, and a little longer.
os::IoStatus LogWriter::write_pending_to(const os::Fd& file, std::string_view& rest) {
  while (true) {
    const os::IoStatus status = os::write_within(file, rest, kWriteWaitMs);
    if (status != os::IoStatus::again) return status;
    if (!stopping_.load(std::memory_order_seq_cst)) continue;
    if (stop_waits_left_-- <= 0) return status;
  }
}

// About the access log, once a minute; standard error may be just as broken.
void LogWriter::complain(const os::Fd& file, os::IoStatus status) {
  const std::uint64_t now_ns = os::monotonic_ns();
  if (&file != &access_ || (complained_ns_ != 0 && now_ns - complained_ns_ < kQuietNs)) return;
  complained_ns_ = now_ns;
  const std::string line = std::string("weir: cannot write the access log: ") +
                           os::to_string(status) + "; lines are lost and counted\n";
  std::string_view rest = line;
  (void)os::write_within(events_, rest, 0);
}

void LogWriter::say(std::string_view line) {
  proxy::LogRing& ring = *event_rings_.back();
  if (!ring.push(line)) lines_unsaid_.add();
  ring.notify();
}

void LogWriter::reopen_if_asked() {
  if (!reopen_.exchange(false, std::memory_order_seq_cst) || access_path_.empty()) return;
  Result<os::Fd, std::string> file = open_access(access_path_);
  if (file) {
    access_ = std::move(*file);
  } else {  // The old file is better than none.
    const std::string line = "weir: " + file.error() + "; the old access log stays open\n";
    std::string_view rest = line;
    (void)os::write_within(events_, rest, 0);
  }
}

}  // namespace weir::control
