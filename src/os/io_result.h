// The outcome of an I/O call, in the program's own words. errno never leaves src/os.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::os {

enum class IoStatus : std::uint8_t {
  done,            // The call did its work; `bytes` says how much.
  again,           // EAGAIN, EINPROGRESS: nothing now, an edge will follow.
  end,             // recv() returned 0: the peer sends no more.
  reset,           // ECONNRESET: the connection is gone, and what was under way is lost.
  broken_pipe,     // EPIPE: it takes no more; the peer had sent its end, or we had.
  refused,         // ECONNREFUSED, or ENOENT for the path of a unix socket.
  unreachable,     // EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL.
  timed_out,       // ETIMEDOUT: the kernel gave up.
  aborted,         // ECONNABORTED: the client left before accept().
  no_descriptors,  // EMFILE, ENFILE.
  no_memory,       // ENOMEM, ENOBUFS.
  in_use,          // EADDRINUSE.
  denied,          // EACCES, EPERM.
  unsupported,     // EINVAL, EAFNOSUPPORT, EOPNOTSUPP, ENOSYS: not for this kind.
  failed,          // Anything else.
};

[[nodiscard]] const char* to_string(IoStatus status);

struct [[nodiscard]] IoResult {
  IoStatus status = IoStatus::failed;
  std::size_t bytes = 0;
};

}  // namespace weir::os
