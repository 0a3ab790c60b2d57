// For tests of what weir answers itself: a server on a loop with a thread of its own, and a
// blocking client that gives up after ten seconds.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "control/local_http.h"
#include "loop/loop.h"
#include "os/os.h"
#include "os/process.h"

namespace weir::control::test {

inline os::SocketResult listen_anywhere() {
  return os::listen_on(*os::Address::ip("127.0.0.1", 0), os::Share::first, 64);
}

// A loop that turns on its own thread until the end of the test.
class LoopThread {
 public:
  explicit LoopThread(loop::Trigger trigger = loop::Trigger::edge) : loop(trigger) {}
  ~LoopThread() { stop(); }

  loop::Loop loop;

  void start() {
    thread_ = os::start_thread("test-loop", -1, [this] {
      while (!stopping_) loop.turn();
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    call([this] { stopping_ = true; });
    thread_.join();
  }
  // Runs `body` on the loop's thread, between two turns, and waits for it.
  void call(std::function<void()> body) {
    Call call(std::move(body));
    loop.mailbox().post(call);
    call.done.get_future().wait();
  }

 private:
  struct Call final : loop::Message {
    explicit Call(std::function<void()> run) : body(std::move(run)) {}
    void deliver() override {
      body();
      done.set_value();
    }
    std::function<void()> body;
    std::promise<void> done;
  };

  bool stopping_ = false;
  std::jthread thread_;
};

struct Answer {
  std::string head;  // With the empty line.
  std::string body;

  [[nodiscard]] int status() const { return head.size() < 12 ? 0 : std::atoi(head.data() + 9); }
  [[nodiscard]] bool has(std::string_view text) const {
    return head.find(text) != std::string::npos;
  }
};

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (receive_buffer != 0) {
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const os::Address address = *os::Address::ip("127.0.0.1", port);
    connected_ = ::connect(fd_.get(), &address.any, address.size) == 0;
  }

  [[nodiscard]] bool connected() const { return connected_; }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // The answer will tell.
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void get(std::string_view target) {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  void reset() {
    os::close_with_reset(fd_);
    fd_.reset();
  }

  // The next answer; `head` is what came when the connection ends first. `no_body`: to a HEAD.
  Answer answer(bool no_body = false) {
    Answer out;
    std::size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return {std::move(buffer_), ""};
    }
    out.head = buffer_.substr(0, end + 4);
    const std::size_t at = out.head.find("Content-Length: ");
    if (at == std::string::npos) return out;
    const std::size_t size = no_body ? 0 : std::strtoull(out.head.data() + at + 16, nullptr, 10);
    while (buffer_.size() < end + 4 + size && receive()) {
    }
    out.body = buffer_.substr(end + 4, size);
    buffer_.erase(0, end + 4 + size);
    return out;
  }

  enum class End {
    closed,
    reset,
    alive,  // Nothing came within ten seconds.
  };
  // How the connection ends, after dropping whatever comes before.
  End end() {
    while (receive()) {
    }
    return end_;
  }
  // What has been received and not been asked for.
  [[nodiscard]] const std::string& left() const { return buffer_; }

 private:
  bool receive() {
    if (end_ != End::alive) return false;
    char piece[65536];
    const os::IoResult result = os::receive(fd_, piece, sizeof piece);
    if (result.status == os::IoStatus::done) buffer_.append(piece, result.bytes);
    if (result.status == os::IoStatus::end) end_ = End::closed;
    if (result.status == os::IoStatus::reset) end_ = End::reset;
    return result.status == os::IoStatus::done;
  }

  os::Fd fd_;
  bool connected_ = false;
  std::string buffer_;
  End end_ = End::alive;
};

}  // namespace weir::control::test
