// listen_on(): who may share an address with whom, and what may be deleted for it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barrier>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "os/os.h"
#include "os/process.h"
#include "sockets.h"

namespace weir::os {
namespace {

using test::loopback;

// What another program would do, with the options it would use.
class Stranger {
 public:
  explicit Stranger(bool reuse_port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port) ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  }
  [[nodiscard]] bool bind(const Address& address) const {
    return ::bind(fd_.get(), &address.any, address.size) == 0;
  }
  [[nodiscard]] bool listen() const { return ::listen(fd_.get(), 8) == 0; }
  [[nodiscard]] std::uint16_t port() const { return bound_port(fd_); }

 private:
  Fd fd_;
};

int option(const Fd& fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd.get(), level, name, &value, &size), 0);
  return value;
}

TEST(ListenOn, GivesANonBlockingListenerOnAPortOfTheKernelsChoice) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  ASSERT_EQ(listener.status, IoStatus::done);
  EXPECT_NE(bound_port(listener.fd), 0);
  EXPECT_EQ(option(listener.fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
  EXPECT_NE(::fcntl(listener.fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(listener.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  Peer peer;
  EXPECT_EQ(accept_from(listener.fd, peer).status, IoStatus::again);
}

TEST(ListenOn, FirstRefusesAPortSomebodyListensOn) {
  for (const bool reuse_port : {false, true}) {
    const Stranger stranger(reuse_port);
    ASSERT_TRUE(stranger.bind(loopback(0)) && stranger.listen());
    EXPECT_EQ(listen_on(loopback(stranger.port()), Share::first, 8).status, IoStatus::in_use);
    const Address any = *Address::ip("0.0.0.0", stranger.port());
    EXPECT_EQ(listen_on(any, Share::first, 8).status, IoStatus::in_use);
  }
}

TEST(ListenOn, FirstRefusesAPortOfAnotherFirst) {
  const SocketResult one = listen_on(loopback(0), Share::first, 8);
  ASSERT_EQ(one.status, IoStatus::done);
  const Address address = loopback(bound_port(one.fd));
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  const SocketResult two = listen_on(address, Share::another, 8);
  ASSERT_EQ(two.status, IoStatus::done);
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
}

TEST(ListenOn, RefusedHandshakesDoNotBeginAndOthersComplete) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const Address address = loopback(bound_port(listener.fd));
  const SocketResult early = connect_to(address);
  ASSERT_TRUE(test::wait_for(early.fd, POLLOUT));
  refuse_handshakes(listener.fd);
  ASSERT_EQ(send(early.fd, "x").status, IoStatus::done);
  const SocketResult late = connect_to(address);
  EXPECT_EQ(late.status, IoStatus::again);
  Peer peer;
  const SocketResult accepted = accept_from(listener.fd, peer);
  ASSERT_EQ(accepted.status, IoStatus::done);
  ASSERT_TRUE(test::wait_for(accepted.fd, POLLIN)) << "the filter stays with the listener";
  EXPECT_EQ(accept_from(listener.fd, peer).status, IoStatus::again) << "the late one came through";
}

// Two programs that start at the same moment, many times over: never do both get the port. Once in
// some ten thousand rounds the kernel refuses both, because each saw the other begin to listen.
TEST(ListenOnMultiThread, NeverBothOfTwoThatStartAtOnceSucceed) {
  constexpr int kRounds = 2000;
  SocketResult chosen = listen_on(loopback(0), Share::first, 8);
  const Address address = loopback(bound_port(chosen.fd));
  chosen.fd.reset();
  std::barrier together(2);
  SocketResult results[2];
  int rounds_with_one = 0;
  int rounds_with_two = 0;
  const auto start = [&](std::size_t side) {
    for (int round = 0; round < kRounds; ++round) {
      together.arrive_and_wait();
      results[side] = listen_on(address, Share::first, 8);
      together.arrive_and_wait();
      if (side == 0) {
        const int winners = results[0].fd.valid() + results[1].fd.valid();
        rounds_with_one += winners == 1;
        rounds_with_two += winners == 2;
      }
      together.arrive_and_wait();
      results[side].fd.reset();
    }
  };
  const std::vector<int> cpus = usable_cpus();
  std::jthread other = start_thread("other", cpus.back(), [&] { start(1); });
  start_thread("one", cpus.front(), [&] { start(0); }).join();
  other.join();
  EXPECT_EQ(rounds_with_two, 0);
  EXPECT_GT(rounds_with_one, kRounds / 2);
}

TEST(ListenOn, AnotherJoinsAndConnectionsSpread) {
  constexpr int kConnections = 128;
  std::vector<Fd> listeners;
  listeners.push_back(std::move(listen_on(loopback(0), Share::first, kConnections).fd));
  const Address address = loopback(bound_port(listeners[0]));
  for (int i = 1; i < 3; ++i) {
    SocketResult joined = listen_on(address, Share::another, kConnections);
    ASSERT_EQ(joined.status, IoStatus::done);
    EXPECT_EQ(bound_port(joined.fd), bound_port(listeners[0]));
    listeners.push_back(std::move(joined.fd));
  }
  std::vector<Fd> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(connect_to(address).fd);
    ASSERT_TRUE(test::wait_for(clients.back(), POLLOUT));
  }
  int taken = 0;
  for (const Fd& listener : listeners) {
    int here = 0;
    Peer peer;
    while (accept_from(listener, peer).status == IoStatus::done) ++here;
    EXPECT_GT(here, 0);
    taken += here;
  }
  EXPECT_EQ(taken, kConnections);
}

TEST(ListenOn, AnotherDoesNotJoinAStrangerWhoDoesNotShare) {
  const Stranger stranger(false);
  ASSERT_TRUE(stranger.bind(loopback(0)) && stranger.listen());
  EXPECT_EQ(listen_on(loopback(stranger.port()), Share::another, 8).status, IoStatus::in_use);
}

TEST(ListenOn, APortIsFreeAgainAfterClose) {
  SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const Address address = loopback(bound_port(listener.fd));
  // A connection closed from this side leaves the port in TIME_WAIT.
  const SocketResult client = connect_to(address);
  Peer peer;
  SocketResult accepted = test::accept_within_deadline(listener.fd, peer);
  ASSERT_EQ(accepted.status, IoStatus::done);
  accepted.fd.reset();
  listener.fd.reset();
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::done);
}

TEST(ListenOn, AnAddressOfAnotherMachineIsUnreachable) {
  const Address elsewhere = *Address::ip("192.0.2.1", 0);
  EXPECT_EQ(listen_on(elsewhere, Share::first, 8).status, IoStatus::unreachable);
}

TEST(ListenOn, AcceptedSocketsInheritNoDelay) {
  const test::Pair pair = test::tcp_pair();
  EXPECT_NE(option(pair.near, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(option(pair.far, IPPROTO_TCP, TCP_NODELAY), 0);
}

TEST(ListenOn, AnyIPv6StandsBesideAnyIPv4) {
  const SocketResult v6 = listen_on(*Address::ip("::", 0), Share::first, 8);
  if (v6.status != IoStatus::done) GTEST_SKIP() << "no IPv6 here: " << to_string(v6.status);
  const Address v4 = *Address::ip("0.0.0.0", bound_port(v6.fd));
  EXPECT_EQ(listen_on(v4, Share::first, 8).status, IoStatus::done);
}

// --- Unix sockets --------------------------------------------------------------------------------

class ListenOnUnix : public testing::Test {
 protected:
  [[nodiscard]] bool exists() const { return ::access(path.c_str(), F_OK) == 0; }

  test::TemporaryDirectory directory;
  std::string path = directory.at("socket");
  Address address = *Address::unix_path(path);
};

TEST_F(ListenOnUnix, CreatesTheFileAndHasNoPort) {
  const SocketResult listener = listen_on(address, Share::first, 8);
  ASSERT_EQ(listener.status, IoStatus::done);
  EXPECT_EQ(bound_port(listener.fd), 0);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
}

TEST_F(ListenOnUnix, ItsFileGoesWithItsOwner) {
  const SocketResult listener = listen_on(address, Share::first, 8);
  {
    SocketFile file(address);
    const SocketFile moved(std::move(file));
    EXPECT_TRUE(exists());
  }
  EXPECT_FALSE(exists());
  SocketFile{address};  // Without a file, and of an address that has none.
  SocketFile{loopback(80)};
}

// The old socket is closed before the new file is made: its inode number would be free again.
TEST_F(ListenOnUnix, TheFileOfAnotherProgramStays) {
  SocketResult ours = listen_on(address, Share::first, 8);
  std::optional<SocketFile> file(address);
  ours.fd.reset();
  ::unlink(path.c_str());
  const SocketResult theirs = listen_on(address, Share::first, 8);
  ASSERT_EQ(theirs.status, IoStatus::done);
  file.reset();
  EXPECT_TRUE(exists());
  EXPECT_EQ(connect_to(address).status, IoStatus::done);
}

TEST_F(ListenOnUnix, ReplacesAStaleFile) {
  listen_on(address, Share::first, 8).fd.reset();
  ASSERT_TRUE(exists());
  const SocketResult again = listen_on(address, Share::first, 8);
  EXPECT_EQ(again.status, IoStatus::done);
  const SocketResult client = connect_to(address);
  EXPECT_EQ(client.status, IoStatus::done);
}

TEST_F(ListenOnUnix, RefusesALiveOneAndLeavesItAlone) {
  const SocketResult live = listen_on(address, Share::first, 8);
  ASSERT_EQ(live.status, IoStatus::done);
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  EXPECT_EQ(connect_to(address).status, IoStatus::done);
}

TEST_F(ListenOnUnix, RefusesALiveOneWhoseQueueIsFull) {
  const SocketResult live = listen_on(address, Share::first, 0);
  std::vector<Fd> waiting;
  for (int i = 0; i < 100; ++i) {
    SocketResult client = connect_to(address);
    if (client.status != IoStatus::done) {
      EXPECT_EQ(client.status, IoStatus::refused);
      break;
    }
    waiting.push_back(std::move(client.fd));
  }
  ASSERT_LT(waiting.size(), 100u) << "the queue never filled";
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  EXPECT_TRUE(exists());
}

TEST_F(ListenOnUnix, NeverDeletesARegularFile) {
  std::ofstream(path) << "precious";
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(ListenOnUnix, NeverDeletesADirectoryOrALink) {
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  ASSERT_EQ(::rmdir(path.c_str()), 0);

  const std::string target = directory.at("target");
  listen_on(*Address::unix_path(target), Share::first, 8).fd.reset();  // Stale.
  ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
  EXPECT_EQ(listen_on(address, Share::first, 8).status, IoStatus::in_use);
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
}

TEST_F(ListenOnUnix, AMissingDirectoryIsNotARefusedConnection) {
  const Address nowhere = *Address::unix_path(directory.at("missing/socket"));
  EXPECT_EQ(listen_on(nowhere, Share::first, 8).status, IoStatus::unreachable);
}

TEST_F(ListenOnUnix, ADuplicateTakesFromTheSameQueue) {
  const SocketResult listener = listen_on(address, Share::first, 8);
  const SocketResult copy = duplicate(listener.fd);
  ASSERT_EQ(copy.status, IoStatus::done);
  EXPECT_NE(copy.fd.get(), listener.fd.get());
  EXPECT_NE(::fcntl(copy.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  const SocketResult client = connect_to(address);
  Peer peer;
  EXPECT_EQ(accept_from(copy.fd, peer).status, IoStatus::done);
  EXPECT_EQ(accept_from(listener.fd, peer).status, IoStatus::again);
}

}  // namespace
}  // namespace weir::os
