// The data path allocates nothing once it is warm: every operator new and delete of this binary is
// counted while a worker turns, over ten thousand requests on kept connections.
//
// A binary of its own, because the replacement holds for all of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include "../proxy/rig.h"
#include "../repetitions.h"

namespace {

// Counted is what the worker does, not what the test does around it.
std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> releases{0};

void* counted_allocation(std::size_t size, std::size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) ++allocations;
  const std::size_t rounded = (std::max<std::size_t>(size, 1) + alignment - 1) & ~(alignment - 1);
  return std::aligned_alloc(alignment, rounded);
}
void counted_release(void* memory) {
  if (memory != nullptr && counting.load(std::memory_order_relaxed)) ++releases;
  std::free(memory);
}
void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* memory = counted_allocation(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
constexpr std::size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
std::size_t plain(std::align_val_t alignment) { return static_cast<std::size_t>(alignment); }

}  // namespace

// The array forms of the standard library call these.
void* operator new(std::size_t size) { return allocate_or_throw(size, kUsual); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, plain(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted_allocation(size, kUsual);
}
void operator delete(void* memory) noexcept { counted_release(memory); }
void operator delete(void* memory, std::size_t) noexcept { counted_release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { counted_release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  counted_release(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { counted_release(memory); }

namespace weir::proxy {
namespace {

using test::config_for;
using test::Origin;
using test::Peer;
using test::Rig;

struct Dialogue {
  std::string_view request;
  std::string_view request_end;  // Of what the server receives.
  std::string_view answer;
  std::string_view answer_end;  // Of what the client receives.
};

constexpr Dialogue kGet = {
    "GET /index.html?x=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
    "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    "hello"};
constexpr Dialogue kPost = {
    "POST /form HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\n\r\nname=value!", "value!",
    "HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n"};
constexpr Dialogue kChunked = {
    "PUT /file HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-End: 1\r\n\r\n",
    "X-End: 1\r\n\r\n"};
constexpr Dialogue kRefused = {"GET /a HTTP/1.1\r\nHost: b.example\r\n\r\n", "", "", "\n"};

class Allocations : public testing::TestWithParam<loop::Trigger> {
 protected:
  static constexpr int kRequests = int{weir::test::repetitions(10'000)};

  // One turn of the worker, the only thing that is counted.
  static void counted_turn(Rig& rig) {
    counting = true;
    rig.turn();
    counting = false;
  }
  [[nodiscard]] static bool turn_until_it_ends(Rig& rig, Peer& peer, std::string_view text) {
    return os::test::eventually([&] {
      if (peer.received().ends_with(text)) return true;
      counted_turn(rig);
      return false;
    });
  }
  // One request of `client` to the end of its answer.
  static bool talk(Rig& rig, Peer& client, Peer& server, const Dialogue& words) {
    client.forget();
    server.forget();
    client.send(words.request);
    if (!words.request_end.empty()) {
      if (!turn_until_it_ends(rig, server, words.request_end)) return false;
      server.send(words.answer);
    }
    return turn_until_it_ends(rig, client, words.answer_end);
  }

  static void expect_none(LogRing* access_log, loop::Trigger trigger) {
    allocations = releases = 0;
    Origin origin;
    config::Config config = config_for({origin.port()});
    config.routes[0].hosts = {"a.example"};
    Rig rig(config, {trigger, 100, access_log});
    std::array<std::unique_ptr<Peer>, 4> clients;
    std::array<std::unique_ptr<Peer>, 4> servers;
    // All at once, so that each client has a connection behind it.
    for (auto& client : clients) {
      client = rig.client();
      client->send(kGet.request);
    }
    for (auto& server : servers) {
      ASSERT_TRUE(os::test::eventually([&] {
        counted_turn(rig);
        return (server = origin.accept()) != nullptr;
      }));
    }
    EXPECT_GT(allocations, 0u) << "the first connections fill the slabs, so the counters count";
    for (auto& server : servers) {
      ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
      server->send(kGet.answer);
    }
    for (auto& client : clients) ASSERT_TRUE(rig.receives(*client, "hello"));
    rig.settle();

    std::string log;
    log.reserve(1 << 20);
    const std::array words = {kGet, kPost, kChunked, kRefused, kGet};
    std::uint64_t warm_allocations = 0;
    std::uint64_t warm_releases = 0;
    for (int i = -200; i < kRequests; ++i) {
      if (i == 0) {
        warm_allocations = allocations;
        warm_releases = releases;
      }
      const auto turn = static_cast<std::size_t>(i + 200);
      // Most recently used first: the connection that answered last answers again.
      ASSERT_TRUE(
          talk(rig, *clients[turn % clients.size()], *servers.back(), words[turn % words.size()]))
          << i << "\n"
          << clients[turn % clients.size()]->received() << "\n"
          << servers.back()->received();
      if (access_log != nullptr && turn % 64 == 0) {
        log.clear();
        (void)access_log->drain(log);
      }
    }
    EXPECT_EQ(allocations - warm_allocations, 0u) << "in " << kRequests << " requests";
    EXPECT_EQ(releases - warm_releases, 0u);
    const upstream::ServerCounters& server = rig.server().counters(0);
    EXPECT_EQ(server.connects.read(), clients.size()) << "connections were reused";
    EXPECT_EQ(log.empty(), access_log == nullptr);
    EXPECT_EQ(rig.worker().counters().log_lines_dropped.read(), 0u);
  }
};

INSTANTIATE_TEST_SUITE_P(EveryTrigger, Allocations,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot));

TEST_P(Allocations, NoneForRequestsOnKeptConnections) { expect_none(nullptr, GetParam()); }

TEST_P(Allocations, NoneWithTheAccessLogEither) {
  LogSignal signal;
  LogRing ring(1 << 20, signal);
  expect_none(&ring, GetParam());
}

}  // namespace
}  // namespace weir::proxy
