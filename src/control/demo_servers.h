// DemoServers: three small web servers of different speed inside the process, for `weir demo`.
//
// They run on a loop and a thread of their own, on free ports of 127.0.0.1, and do not know weir.
// Created, stopped and destroyed by one thread; the numbers may be read by any.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/result.h"
#include "control/local_http.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "os/process.h"

namespace weir::control {

class DemoServer {
 public:
  DemoServer(loop::Loop& loop, const char* name, std::uint64_t delay_ms, os::Fd listening_socket);

  [[nodiscard]] const char* name() const { return name_; }
  [[nodiscard]] std::uint64_t delay_ms() const { return delay_ms_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // Requests answered so far. Any thread.
  [[nodiscard]] std::uint64_t answered() const { return answered_.read(); }

 private:
  friend class DemoServers;
  void answer(LocalResponse& response);

  const char* name_;
  std::uint64_t delay_ms_;
  std::uint16_t port_;
  Counter answered_;
  std::unique_ptr<LocalHttpServer> http_;  // Null once stopped.
};

class DemoServers {
 public:
  static constexpr std::size_t kCount = 3;

  // Listens and starts the thread; the error is a sentence.
  [[nodiscard]] static Result<std::unique_ptr<DemoServers>, std::string> start();
  ~DemoServers() { stop(); }
  DemoServers(const DemoServers&) = delete;
  DemoServers& operator=(const DemoServers&) = delete;

  // Ends the thread and waits for it; the ports are free then, the numbers stay. Repeating it does
  // nothing.
  void stop();

  [[nodiscard]] const DemoServer& server(std::size_t index) const { return *servers_[index]; }

 private:
  class Stop final : public loop::Message {
   public:
    void deliver() override { delivered = true; }
    bool delivered = false;
  };

  DemoServers() = default;
  void run();

  loop::Loop loop_;
  std::array<std::unique_ptr<DemoServer>, kCount> servers_;
  Stop stop_;
  std::jthread thread_;
};

}  // namespace weir::control
