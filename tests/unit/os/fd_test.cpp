#include "os/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace weir::os {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
Fd some_descriptor() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(Fd, DefaultOwnsNothing) {
  Fd fd;
  EXPECT_FALSE(fd.valid());
  fd.reset();
  EXPECT_EQ(fd.get(), -1);
}

TEST(Fd, ClosesOnDestructionAndOnReset) {
  int number = -1;
  {
    const Fd fd = some_descriptor();
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
  Fd fd = some_descriptor();
  number = fd.get();
  fd.reset();
  EXPECT_FALSE(fd.valid());
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, MovingTransfersOwnership) {
  Fd from = some_descriptor();
  const int number = from.get();
  Fd to(std::move(from));
  EXPECT_FALSE(from.valid());  // NOLINT(bugprone-use-after-move): that is the contract.
  EXPECT_EQ(to.get(), number);
  Fd target = some_descriptor();
  const int replaced = target.get();
  target = std::move(to);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_EQ(target.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, MovingOntoItselfKeepsTheDescriptor) {
  Fd fd = some_descriptor();
  Fd& alias = fd;
  fd = std::move(alias);
  EXPECT_TRUE(fd.valid());
  EXPECT_TRUE(is_open(fd.get()));
}

}  // namespace
}  // namespace weir::os
