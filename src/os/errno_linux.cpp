#include "os/errno_linux.h"

#include <cerrno>

namespace weir::os {

IoStatus status_of(int error) {
  switch (error) {
    case EAGAIN:
    case EINPROGRESS:
    case EINTR: return IoStatus::again;
    case ECONNRESET:
    case ENOTCONN: return IoStatus::reset;
    case EPIPE: return IoStatus::broken_pipe;
    case ECONNREFUSED:
    case ENOENT: return IoStatus::refused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL: return IoStatus::unreachable;
    case ETIMEDOUT: return IoStatus::timed_out;
    case ECONNABORTED:
    case EPROTO: return IoStatus::aborted;
    case EMFILE:
    case ENFILE: return IoStatus::no_descriptors;
    case ENOMEM:
    case ENOBUFS: return IoStatus::no_memory;
    case EADDRINUSE: return IoStatus::in_use;
    case EACCES:
    case EPERM: return IoStatus::denied;
    case EINVAL:
    case EAFNOSUPPORT:
    case EOPNOTSUPP:
    case ENOSYS: return IoStatus::unsupported;
    default: return IoStatus::failed;
  }
}

const char* to_string(IoStatus status) {
  switch (status) {
    case IoStatus::done: return "done";
    case IoStatus::again: return "again";
    case IoStatus::end: return "end of stream";
    case IoStatus::reset: return "connection reset";
    case IoStatus::broken_pipe: return "broken pipe";
    case IoStatus::refused: return "connection refused";
    case IoStatus::unreachable: return "address not reachable";
    case IoStatus::timed_out: return "timed out";
    case IoStatus::aborted: return "connection aborted";
    case IoStatus::no_descriptors: return "out of file descriptors";
    case IoStatus::no_memory: return "out of kernel memory";
    case IoStatus::in_use: return "address in use";
    case IoStatus::denied: return "permission denied";
    case IoStatus::unsupported: return "not supported";
    case IoStatus::failed: return "failed";
  }
  return "failed";
}

}  // namespace weir::os
