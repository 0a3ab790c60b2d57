#include "os/errno_linux.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace weir::os {
namespace {

struct Row {
  int error;
  IoStatus status;
};

constexpr Row kTable[] = {
    {EAGAIN, IoStatus::again},
    {EWOULDBLOCK, IoStatus::again},
    {EINPROGRESS, IoStatus::again},
    {EINTR, IoStatus::again},
    {ECONNRESET, IoStatus::reset},
    {EPIPE, IoStatus::broken_pipe},
    {ENOTCONN, IoStatus::reset},
    {ECONNREFUSED, IoStatus::refused},
    {ENOENT, IoStatus::refused},
    {EHOSTUNREACH, IoStatus::unreachable},
    {ENETUNREACH, IoStatus::unreachable},
    {EADDRNOTAVAIL, IoStatus::unreachable},
    {ETIMEDOUT, IoStatus::timed_out},
    {ECONNABORTED, IoStatus::aborted},
    {EPROTO, IoStatus::aborted},
    {EMFILE, IoStatus::no_descriptors},
    {ENFILE, IoStatus::no_descriptors},
    {ENOMEM, IoStatus::no_memory},
    {ENOBUFS, IoStatus::no_memory},
    {EADDRINUSE, IoStatus::in_use},
    {EACCES, IoStatus::denied},
    {EPERM, IoStatus::denied},
    {EINVAL, IoStatus::unsupported},
    {EAFNOSUPPORT, IoStatus::unsupported},
    {EOPNOTSUPP, IoStatus::unsupported},
    {ENOSYS, IoStatus::unsupported},
    {EIO, IoStatus::failed},
    {EBADF, IoStatus::failed},
    {123456, IoStatus::failed},
};

TEST(StatusOf, FollowsTheTable) {
  for (const Row& row : kTable) {
    EXPECT_EQ(status_of(row.error), row.status) << "errno " << row.error;
  }
}

// An error never reads as success or as the orderly end of a stream.
TEST(StatusOf, NoErrnoIsDoneOrEnd) {
  for (int error = 1; error < 200; ++error) {
    EXPECT_NE(status_of(error), IoStatus::done) << error;
    EXPECT_NE(status_of(error), IoStatus::end) << error;
  }
}

TEST(IoStatusText, EveryStatusHasItsOwnWords) {
  std::set<std::string> words;
  const int last = static_cast<int>(IoStatus::failed);
  for (int i = 0; i <= last; ++i) words.insert(to_string(static_cast<IoStatus>(i)));
  EXPECT_EQ(words.size(), static_cast<std::size_t>(last) + 1);
  EXPECT_EQ(words.count(""), 0u);
}

}  // namespace
}  // namespace weir::os
