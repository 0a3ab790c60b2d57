#include "net/splice_pipe.h"

#include "base/check.h"

namespace weir::net {

PipePool::PipePool(std::size_t pipes_max) : pipes_max_(pipes_max) { kept_.reserve(kKeptPipesMax); }

PipePool::~PipePool() {
  CHECK(counters_.open.read() == kept_.size(), "pipe pool destroyed with pipes leased");
}

PipePool::Ends PipePool::take() {
  if (!kept_.empty()) {
    Ends ends = std::move(kept_.back());
    kept_.pop_back();
    counters_.reused.add();
    return ends;
  }
  if (refusals_ahead_ > 0) {
    --refusals_ahead_;
  } else if (counters_.open.read() < pipes_max_) {
    Ends ends = create();
    if (ends.read.valid()) return ends;
    refusals_ahead_ = kPatience;
  }
  counters_.refused.add();
  return {};
}

PipePool::Ends PipePool::create() {
  os::PipeResult made = os::make_pipe();
  if (made.status != os::IoStatus::done) return {};
  const std::size_t capacity = os::resize_pipe(made.write_end, kPipeBytes);
  if (capacity < kPipeBytesMin) return {};
  counters_.created.add();
  counters_.open.add();
  return {std::move(made.read_end), std::move(made.write_end), capacity};
}

void PipePool::give_back(Ends ends, bool empty) {
  if (empty && kept_.size() < kKeptPipesMax) {
    kept_.push_back(std::move(ends));
    return;
  }
  if (!empty) counters_.spilled.add();
  counters_.open.subtract();
}

bool SplicePipe::lease(PipePool& pool) {
  if (leased()) return true;
  ends_ = pool.take();
  if (!ends_.read.valid()) return false;
  pool_ = &pool;
  return true;
}

void SplicePipe::give_back() {
  std::exchange(pool_, nullptr)->give_back(std::exchange(ends_, {}), empty());
  bytes_ = 0;
}

os::IoResult SplicePipe::fill_from(const os::Fd& socket, std::size_t most) {
  const os::IoResult result = os::splice_bytes(socket, ends_.write, most);
  bytes_ += result.bytes;
  return result;
}

os::IoResult SplicePipe::drain_to(const os::Fd& socket) {
  CHECK(!empty(), "splice() of nothing looks like an end");
  const os::IoResult result = os::splice_bytes(ends_.read, socket, bytes_);
  bytes_ -= result.bytes;
  return result;
}

os::IoResult SplicePipe::read(char* data, std::size_t size) {
  const os::IoResult result = os::read_pipe(ends_.read, data, size);
  bytes_ -= result.bytes;
  return result;
}

}  // namespace weir::net
