// SplicePipe: one leased pipe, through which splice() moves bytes from socket to socket inside the
// kernel. PipePool: where pipes come from.
//
// A worker owns one pool; leases move between its flows. A pipe is made when the first flow needs
// one, and only an empty one is kept for the next flow: one that still has bytes in it is closed,
// so no byte can reach another connection. A flow that gets no pipe copies instead.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/counter.h"
#include "os/os.h"

namespace weir::net {

// What a pipe is asked to hold. The kernel counts pages, not bytes: a segment of 1,448 bytes takes
// a page, so the default of 64 KiB is full after 16 of them.
inline constexpr std::size_t kPipeBytes = 256 * 1024;
// A user above /proc/sys/fs/pipe-user-pages-soft gets pipes of one or two pages: a call for every
// 4 KiB costs more than copying them.
inline constexpr std::size_t kPipeBytesMin = 64 * 1024;

struct PipeCounters {
  Counter open;     // Now, leased and kept.
  Counter created;  // By the kernel.
  Counter reused;   // Leases of a pipe that was kept.
  Counter refused;  // Leases that got none: a limit, of weir or of the kernel.
  Counter spilled;  // Pipes closed with bytes in them.
};

class PipePool {
 public:
  static constexpr std::size_t kPipesMax = 1024;
  // Empty pipes beyond this are closed when they are returned.
  static constexpr std::size_t kKeptPipesMax = 32;
  // Leases refused before the kernel is asked again, once it has said no.
  static constexpr unsigned kPatience = 64;

  // `pipes_max`: most pipes open at one time. Each has two descriptors.
  explicit PipePool(std::size_t pipes_max = kPipesMax);
  ~PipePool();
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  [[nodiscard]] const PipeCounters& counters() const { return counters_; }

 private:
  friend class SplicePipe;
  struct Ends {
    os::Fd read;
    os::Fd write;
    std::size_t capacity = 0;
  };

  // No descriptors when none is to be had.
  [[nodiscard]] Ends take();
  [[nodiscard]] Ends create();
  void give_back(Ends ends, bool empty);

  std::size_t pipes_max_;
  unsigned refusals_ahead_ = 0;
  std::vector<Ends> kept_;
  PipeCounters counters_;
};

class SplicePipe {
 public:
  SplicePipe() = default;
  SplicePipe(SplicePipe&& other) noexcept { swap(other); }
  SplicePipe& operator=(SplicePipe&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }
  ~SplicePipe() { release(); }

  // Makes sure there is a pipe. False when the pool has none.
  [[nodiscard]] bool lease(PipePool& pool);
  // Gives it back; bytes in it are lost.
  void release() {
    if (leased()) give_back();
  }

  [[nodiscard]] bool leased() const { return pool_ != nullptr; }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t capacity() const { return ends_.capacity; }

  // Moves up to `most` bytes out of a socket.
  os::IoResult fill_from(const os::Fd& socket, std::size_t most);
  // Moves what it holds, which is not nothing, or a part of it into a socket.
  os::IoResult drain_to(const os::Fd& socket);
  // Reads up to `size` bytes of what it holds.
  os::IoResult read(char* data, std::size_t size);

 private:
  void give_back();
  void swap(SplicePipe& other) {
    std::swap(pool_, other.pool_);
    std::swap(ends_, other.ends_);
    std::swap(bytes_, other.bytes_);
  }

  PipePool* pool_ = nullptr;
  PipePool::Ends ends_;
  std::size_t bytes_ = 0;
};

}  // namespace weir::net
