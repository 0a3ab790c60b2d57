#include "control/log_writer.h"

#include <algorithm>
#include <utility>

namespace weir::control {
namespace {

// A worker's lines of about a tenth of a second at its fastest.
constexpr std::size_t kAccessRingBytes = std::size_t{4} << 20;
constexpr std::size_t kEventRingBytes = std::size_t{64} << 10;
// The control thread says everything about a refused file at once: up to 1,000 findings.
constexpr std::size_t kSayRingBytes = std::size_t{1} << 20;
constexpr int kIdleWaitMs = 10'000;
constexpr int kWriteWaitMs = 100;
constexpr int kStopWaits = 10;  // A second in all; two when neither output moves.
constexpr std::uint64_t kQuietNs = 60'000'000'000;

std::uint64_t line_ends(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

Result<os::Fd, std::string> open_access(const std::string& path) {
  if (path != "-") return os::open_for_append(path);
  return os::standard_output();
}

}  // namespace

Result<std::unique_ptr<LogWriter>, std::string> LogWriter::open(const std::string& access_path,
                                                                unsigned workers) {
  std::unique_ptr<LogWriter> writer(new LogWriter);
  writer->access_path_ = access_path;
  writer->events_.file = os::standard_error();
  if (!access_path.empty()) {
    Result<os::Fd, std::string> file = open_access(access_path);
    if (!file) return Err(file.error() + "; give another path for the access log");
    writer->access_.file = std::move(*file);
  }
  const auto ring = [&](std::size_t bytes) {
    return std::make_unique<proxy::LogRing>(bytes, writer->signal_);
  };
  for (unsigned i = 0; i < workers; ++i) {
    writer->events_.rings.push_back(ring(kEventRingBytes));
    if (!access_path.empty()) writer->access_.rings.push_back(ring(kAccessRingBytes));
  }
  writer->events_.rings.push_back(ring(kSayRingBytes));
  return writer;
}

LogWriter::~LogWriter() { stop(); }

proxy::LogRing* LogWriter::access_ring(unsigned worker) {
  return access_.rings.empty() ? nullptr : access_.rings[worker].get();
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
  int stop_waits_left = kStopWaits;
  while (true) {
    reopen_if_asked();
    if (write_some()) {
      const bool waiting = access_.waits() || events_.waits();
      if (waiting && stopping_.load(std::memory_order_seq_cst) && stop_waits_left-- == 0) return;
      continue;
    }
    signal_.sleep_begin();
    const bool quiet = !write_some() && !reopen_.load(std::memory_order_seq_cst);
    if (quiet && stopping_.load(std::memory_order_seq_cst)) return;
    if (quiet) os::wait_readable(signal_.wakeup(), kIdleWaitMs);
    signal_.sleep_end();
  }
}

// False when there was nothing to write.
bool LogWriter::write_some() {
  const bool lines = write_some(access_);
  return write_some(events_) || lines;
}

// Every ring has its turn, also when the reader is too slow for all of them.
bool LogWriter::write_some(Output& out) {
  bool any = false;
  for (std::size_t i = 0; i < out.rings.size(); ++i) {
    if (!flush(out)) return true;
    any |= out.rings[out.next_ring++ % out.rings.size()]->drain(out.pending);
  }
  return !flush(out) || any;
}

// False while a reader takes nothing; what waits for it is kept, and nothing is added to it.
bool LogWriter::flush(Output& out) {
  if (!out.waits()) return true;
  std::string_view rest = std::string_view(out.pending).substr(out.written);
  const os::IoStatus status = os::write_within(out.file, rest, kWriteWaitMs);
  out.written = out.pending.size() - rest.size();
  if (status == os::IoStatus::again) return false;
  if (status != os::IoStatus::done) {
    lines_unwritten_.add(line_ends(rest));
    if (&out == &access_) complain(status);
  }
  out.pending.clear();
  out.written = 0;
  return true;
}

// Once a minute at most.
void LogWriter::complain(os::IoStatus status) {
  const std::uint64_t now_ns = os::monotonic_ns();
  if (complained_ns_ != 0 && now_ns - complained_ns_ < kQuietNs) return;
  complained_ns_ = now_ns;
  note(std::string("cannot write the access log: ") + os::to_string(status) +
       "; lines are lost and counted");
}

// What this thread itself has to say; nothing while nobody reads standard error.
void LogWriter::note(const std::string& text) {
  if (!events_.waits()) events_.pending = "weir: " + text + "\n";
}

void LogWriter::say(std::string_view lines) {
  proxy::LogRing& ring = *events_.rings.back();
  if (!ring.push(lines)) lines_unsaid_.add(line_ends(lines));
  ring.notify();
}

void LogWriter::reopen_if_asked() {
  if (!reopen_.exchange(false, std::memory_order_seq_cst) || access_path_.empty()) return;
  Result<os::Fd, std::string> file = open_access(access_path_);
  if (!file) {  // The old file is better than none.
    note(file.error() + "; the old access log stays open");
    return;
  }
  access_.file = std::move(*file);
  if (access_.written == 0 || access_.pending[access_.written - 1] == '\n') return;
  // A line that has begun in the old file does not go on in the new one.
  lines_unwritten_.add();
  access_.written = access_.pending.find('\n', access_.written) + 1;
}

}  // namespace weir::control
