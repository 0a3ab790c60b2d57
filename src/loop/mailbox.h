// Mailbox: messages to a loop from any thread, without a lock and without an allocation.
//
// The message is embedded in the object it concerns, so a post can never fail for lack of room; an
// object has at most one post of one Message under way. An intrusive stack of posted messages is
// taken whole by the owner and reversed, so messages of one sender arrive in order.
//
// The wake-up: the owner announces that it will sleep and then looks at the box once more; a sender
// publishes and then looks at the announcement. Both pairs are seq_cst, so at least one of the two
// sees the other, and a notify is only paid for when the owner sleeps.
#pragma once

#include <atomic>

#include "os/os.h"

namespace weir::loop {

class Message {
 public:
  virtual ~Message() = default;
  // Runs on the receiving thread. May destroy or post the message again.
  virtual void deliver() = 0;

 private:
  friend class Mailbox;
  Message* next_ = nullptr;
};

class Mailbox {
 public:
  Mailbox() : wakeup_(os::wakeup_create()) {}

  // Any thread. The message must stay alive until it is delivered.
  void post(Message& message) {
    Message* head = head_.load(std::memory_order_relaxed);
    do {
      message.next_ = head;
    } while (!head_.compare_exchange_weak(head, &message, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    if (sleeping_.load(std::memory_order_seq_cst)) os::wakeup_notify(wakeup_);
  }

  // Owner: delivers what has been posted before this call.
  void deliver_all() {
    if (head_.load(std::memory_order_relaxed) == nullptr) return;  // Spares a locked instruction.
    Message* newest = head_.exchange(nullptr, std::memory_order_acquire);
    Message* oldest = nullptr;
    while (newest != nullptr) {
      Message* next = newest->next_;
      newest->next_ = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) {
      Message* next = oldest->next_;
      oldest->deliver();
      oldest = next;
    }
  }

  // Owner: about to block. False when a message is waiting: do not block.
  [[nodiscard]] bool sleep_begin() {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
    sleeping_.store(false, std::memory_order_relaxed);
    return false;
  }
  void sleep_end() { sleeping_.store(false, std::memory_order_relaxed); }

  // Any thread: the owner blocks, or is about to; may have changed by now.
  [[nodiscard]] bool asleep() const { return sleeping_.load(std::memory_order_relaxed); }

  // The descriptor that becomes readable on a post while sleeping.
  [[nodiscard]] const os::Fd& wakeup() const { return wakeup_; }

 private:
  os::Fd wakeup_;
  std::atomic<Message*> head_{nullptr};
  std::atomic<bool> sleeping_{false};
};

}  // namespace weir::loop
