// What only the whole program needs of the kernel: signals, limits, processors, threads, files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "os/address.h"
#include "os/fd.h"
#include "os/io_result.h"

namespace weir::os {

// --- Signals -------------------------------------------------------------------------------------

enum class Signal : std::uint8_t {
  none,
  terminate,  // SIGTERM, SIGINT, SIGQUIT
  reload,     // SIGHUP
  reopen,     // SIGUSR1
};
// Ignores SIGPIPE, blocks the signals above in this and all later threads, and returns a
// non-blocking descriptor that reports them. Call once, before the first thread starts.
[[nodiscard]] Fd signals_open();
// Gives them back what they do by default, to those that are pending too: for what has no loop.
void signals_release(Fd signals);
// The next pending signal, or `none`.
[[nodiscard]] Signal signals_next(const Fd& signals);

// --- Limits and processors -----------------------------------------------------------------------

// Raises the soft limit of open files to the hard one and returns what holds now.
std::uint64_t raise_descriptor_limit();
// Processors this process may run on, from its inherited affinity mask, ascending.
[[nodiscard]] std::vector<int> usable_cpus();
// Processors worth of time that this process's control group and those above it grant (cpu.max of
// version 2, cpu.cfs_quota_us of version 1), rounded up; 0 when unlimited.
[[nodiscard]] unsigned cgroup_cpu_quota(const std::string& mount = "/sys/fs/cgroup",
                                        const std::string& membership = "/proc/self/cgroup");

// --- Threads -------------------------------------------------------------------------------------

// Joins on destruction.
using Thread = std::jthread;
// Starts a thread called `name` (15 bytes are shown) on `cpu`, or unpinned when cpu < 0.
[[nodiscard]] Thread start_thread(const char* name, int cpu, std::function<void()> body);

// --- Files ---------------------------------------------------------------------------------------

// The whole file, or a sentence saying why not. Refuses directories and files above 16 MiB. Blocks;
// for a pipe's writer at most ten seconds at a time, and not when `interrupt` is readable.
[[nodiscard]] Result<std::string, std::string> read_file(const std::string& path,
                                                         const Fd& interrupt = {});
// Opens for appending, creating with mode 0640. The error is a sentence; a pipe that nobody reads
// is refused instead of waited for.
[[nodiscard]] Result<Fd, std::string> open_for_append(const std::string& path);
// Writes as much of `data` as the file takes and cuts that off its front. Blocks for at most
// timeout_ms at a time: `again` when a pipe's reader has taken nothing for that long, `done` when
// all is written, or why the file refuses.
IoStatus write_within(const Fd& fd, std::string_view& data, int timeout_ms);
// Opens /dev/null for every standard stream the program was started without, so that no socket
// ever gets a number that something prints to. Call first.
void open_missing_streams();
// Descriptors of our own for the standard streams.
[[nodiscard]] Fd standard_output();
[[nodiscard]] Fd standard_error();
[[nodiscard]] bool is_terminal(int fd);
// False when `fd` is a pipe or socket whose other end is gone.
[[nodiscard]] bool has_reader(int fd);
[[nodiscard]] bool file_exists(const std::string& path);

// The file of a unix socket that this process has just bound. The destructor removes it, unless
// another program has put its own file there. Holding the file open keeps its inode number from
// being given to that other file.
class SocketFile {
 public:
  SocketFile() = default;  // Of an address without a file.
  explicit SocketFile(const Address& address);
  ~SocketFile();
  SocketFile(SocketFile&&) = default;
  SocketFile& operator=(SocketFile&&) = delete;

 private:
  std::string path_;
  Fd held_;
};

// Blocks until the descriptor is readable or `timeout_ms` passed. For threads without a loop.
void wait_readable(const Fd& fd, int timeout_ms);

}  // namespace weir::os
