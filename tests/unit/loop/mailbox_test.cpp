// The mailbox under real threads. A lost wake-up shows as a consumer that sleeps for ever beside a
// full mailbox, so each test ends by itself or by the watchdog.
#include "loop/mailbox.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "loop/loop.h"
#include "os/process.h"

namespace weir::loop {
namespace {

using namespace std::chrono_literals;

constexpr auto kWatchdog = 60s;

// Runs `loop` on a thread of its own until `complete` holds, which only the loop's own deliveries
// may bring about. False when 60 seconds were not enough; the loop is then woken by force, so that
// the test can end.
template <typename Complete>
[[nodiscard]] bool turns_until(Loop& loop, Complete complete) {
  auto finished = std::async(std::launch::async, [&] {
    while (!complete()) loop.turn();
  });
  if (finished.wait_for(kWatchdog) == std::future_status::ready) return true;
  while (finished.wait_for(1ms) != std::future_status::ready) {
    os::wakeup_notify(loop.mailbox().wakeup());
  }
  return false;
}

// Spends a few cycles per unit, so that two threads meet a little differently each time.
void pause_for(std::uint64_t units) {
  for (; units > 0; --units) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Or the loop would be removed.
  }
}

// Waits for another thread: briefly awake, then giving up the processor.
template <typename Condition>
void spin_until(Condition condition) {
  for (int spins = 0; !condition();) {
    if (++spins > 2000) sched_yield();
  }
}

// What one consumer has received; touched by its thread alone.
struct Inbox {
  std::vector<std::uint64_t> next_of_sender;
  std::uint64_t received = 0;
  std::uint64_t out_of_order = 0;
};

class Numbered : public Message {
 public:
  void prepare(Inbox& inbox, std::size_t sender, std::uint64_t number) {
    inbox_ = &inbox;
    sender_ = sender;
    number_ = number;
  }
  void deliver() override {
    ++inbox_->received;
    if (inbox_->next_of_sender[sender_]++ != number_) ++inbox_->out_of_order;
    delivered_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool take_delivered() {
    if (!delivered_.load(std::memory_order_acquire)) return false;
    delivered_.store(false, std::memory_order_relaxed);
    return true;
  }

 private:
  Inbox* inbox_ = nullptr;
  std::size_t sender_ = 0;
  std::uint64_t number_ = 0;
  std::atomic<bool> delivered_{false};
};

// 200,000 messages as fast as they can be posted: the mailbox is contended, and the consumer falls
// asleep whenever the senders are descheduled.
TEST(MailboxMultiThread, AFloodArrivesWholeAndInOrderPerSender) {
  constexpr std::size_t kSenders = 4;
  constexpr std::uint64_t kPerSender = 50'000;
  Loop loop;
  Inbox inbox{std::vector<std::uint64_t>(kSenders), 0, 0};
  std::vector<std::jthread> senders;
  for (std::size_t sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      std::vector<Numbered> messages(kPerSender);
      for (std::uint64_t i = 0; i < kPerSender; ++i) {
        messages[i].prepare(inbox, sender, i);
        loop.mailbox().post(messages[i]);
      }
      spin_until([&] { return messages.back().take_delivered(); });  // They live here.
    });
  }
  EXPECT_TRUE(turns_until(loop, [&] { return inbox.received == kSenders * kPerSender; }));
  EXPECT_EQ(inbox.out_of_order, 0u);
}

class Empty : public Message {
 public:
  void deliver() override {}
};

// Both sides of the wake-up at the same moment, over and over, without the sleep: when the owner
// saw no message and would sleep, the sender must have notified.
TEST(MailboxMultiThread, EitherTheOwnerSeesThePostOrTheSenderNotifies) {
  constexpr std::uint64_t kTrials = 100'000;
  Mailbox mailbox;
  Empty message;
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> posted{0};
  const std::vector<int> cpus = os::usable_cpus();  // Two of them, or there is no race to see.
  std::jthread sender = os::start_thread("sender", cpus.front(), [&] {
    for (std::uint64_t trial = 1; trial <= kTrials; ++trial) {
      spin_until([&] { return begun.load(std::memory_order_acquire) == trial; });
      pause_for(trial % 64);
      mailbox.post(message);
      posted.store(trial, std::memory_order_release);
    }
  });
  int lost = 0;
  std::jthread owner = os::start_thread("owner", cpus.back(), [&] {
    const os::Fd epoll = os::epoll_create();
    EXPECT_TRUE(os::epoll_add(epoll, mailbox.wakeup(), 1, os::kReadable, os::Mode::level));
    for (std::uint64_t trial = 1; trial <= kTrials; ++trial) {
      begun.store(trial, std::memory_order_release);
      pause_for(trial / 64 % 64 * 16);  // It takes a while until the sender sees `begun`.
      const bool would_sleep = mailbox.sleep_begin();
      spin_until([&] { return posted.load(std::memory_order_acquire) == trial; });
      os::Event events[1];
      const bool notified = os::epoll_wait(epoll, events, 0) == 1;
      if (notified) os::wakeup_clear(mailbox.wakeup());
      if (would_sleep && !notified) ++lost;
      mailbox.sleep_end();
      mailbox.deliver_all();
    }
  });
  owner.join();
  EXPECT_EQ(lost, 0);
}

// One sender that waits for its message before it posts the next, so the consumer goes to sleep
// after each; the sender's pause is swept so that the post meets every instant of that. Only one
// sender: the next post of another would wake the consumer and hide the loss.
TEST(MailboxMultiThread, NoWakeUpIsLostWhileGoingToSleep) {
  constexpr std::uint64_t kRounds = 100'000;
  Loop loop;
  Inbox inbox{std::vector<std::uint64_t>(1), 0, 0};
  std::jthread sender([&] {
    Numbered message;
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      message.prepare(inbox, 0, i);
      pause_for(i % 512);
      loop.mailbox().post(message);
      spin_until([&] { return message.take_delivered(); });
    }
  });
  EXPECT_TRUE(turns_until(loop, [&] { return inbox.received == kRounds; }));
  EXPECT_EQ(inbox.out_of_order, 0u);
  EXPECT_GT(loop.counters().events.read(), 0u) << "the consumer never slept";
}

// One message that two loops throw at each other: both sleep, and each post ends the other's sleep.
class Ball : public Message {
 public:
  Ball(Loop& first, Loop& second, int bounces) : loops_{&first, &second}, left_(bounces) {}
  void deliver() override {
    const int left = left_.fetch_sub(1) - 1;
    if (left > 0) loops_[left % 2]->mailbox().post(*this);
    if (left == 0) {
      for (Loop* loop : loops_) os::wakeup_notify(loop->mailbox().wakeup());  // Both may stop.
    }
  }
  [[nodiscard]] bool done() const { return left_.load() <= 0; }

 private:
  Loop* loops_[2];
  std::atomic<int> left_;
};

TEST(MailboxMultiThread, TwoLoopsThrowOneMessageBackAndForth) {
  Loop first;
  Loop second;
  Ball ball(first, second, 40'000);
  first.mailbox().post(ball);
  auto other = std::async(std::launch::async,
                          [&] { return turns_until(second, [&] { return ball.done(); }); });
  EXPECT_TRUE(turns_until(first, [&] { return ball.done(); }));
  EXPECT_TRUE(other.get());
}

// --- One thread ----------------------------------------------------------------------------------

class Reposting : public Message {
 public:
  Reposting(Mailbox& mailbox, int times) : mailbox_(mailbox), left(times) {}
  void deliver() override {
    if (--left > 0) mailbox_.post(*this);
  }

 private:
  Mailbox& mailbox_;

 public:
  int left;
};

// Delivered once per turn, so that a message that posts itself cannot hold up the loop; and the
// next wait does not block although nobody notified.
TEST(Mailbox, AMessageMayBePostedAgainInsideDeliver) {
  Loop loop;
  Reposting message(loop.mailbox(), 100);
  loop.mailbox().post(message);
  for (int turn = 1; turn <= 100; ++turn) {
    loop.turn();
    ASSERT_EQ(message.left, 100 - turn);
  }
}

class SelfDestroying : public Message {
 public:
  explicit SelfDestroying(int& destroyed) : destroyed_(destroyed) {}
  ~SelfDestroying() override { ++destroyed_; }
  void deliver() override { delete this; }

 private:
  int& destroyed_;
};

TEST(Mailbox, AMessageMayDestroyItselfInsideDeliver) {
  Mailbox mailbox;
  int destroyed = 0;
  for (int i = 0; i < 10; ++i) mailbox.post(*std::make_unique<SelfDestroying>(destroyed).release());
  mailbox.deliver_all();
  EXPECT_EQ(destroyed, 10);
  mailbox.deliver_all();  // Empty.
}

bool notified(const Mailbox& mailbox) {
  const os::Fd epoll = os::epoll_create();
  EXPECT_TRUE(os::epoll_add(epoll, mailbox.wakeup(), 1, os::kReadable, os::Mode::level));
  os::Event events[1];
  return os::epoll_wait(epoll, events, 0) == 1;
}

TEST(Mailbox, ANotifyIsOnlyPaidForWhileTheOwnerSleeps) {
  Mailbox mailbox;
  Reposting message(mailbox, 1);
  mailbox.post(message);
  EXPECT_FALSE(notified(mailbox));
  EXPECT_FALSE(mailbox.sleep_begin());  // Something waits.
  mailbox.deliver_all();
  ASSERT_TRUE(mailbox.sleep_begin());
  mailbox.post(message);
  EXPECT_TRUE(notified(mailbox));
  mailbox.sleep_end();
  os::wakeup_clear(mailbox.wakeup());
  Reposting second(mailbox, 1);
  mailbox.post(second);
  EXPECT_FALSE(notified(mailbox));
  mailbox.deliver_all();
  EXPECT_EQ(second.left, 0);
}

}  // namespace
}  // namespace weir::loop
