// Echo: a small program over os.h and its scripted clients, to see whether a hostile kernel loses
// bytes or wake-ups. The server does everything an edge-triggered program has to, and no more.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "os/os.h"
#include "sim/kernel/kernel.h"

namespace weir::sim::test {

inline os::Address address(std::uint16_t port) { return *os::Address::ip("127.0.0.1", port); }

class EchoServer {
 public:
  explicit EchoServer(std::uint16_t port) {
    while (!listener_.valid()) listener_ = listen(port);
    while (!os::epoll_add(epoll_, listener_, 0, os::kReadable, os::Mode::level)) continue;
  }

  // Until so many connections have ended.
  void run(std::size_t connections) {
    while (ended_ < connections) {
      std::array<os::Event, 8> events;
      const std::size_t count = os::epoll_wait(epoll_, events, -1);
      for (std::size_t i = 0; i < count; ++i) handle(events[i]);
    }
  }

 private:
  struct Client {
    os::Fd fd;
    std::string unsent;
    bool at_end = false;
  };

  static os::Fd listen(std::uint16_t port) {
    return std::move(os::listen_on(address(port), os::Share::first, 64).fd);
  }
  void handle(const os::Event& event) {
    if (event.data == 0) return accept();
    const auto client = clients_.find(event.data);
    if (client == clients_.end() || serve(client->second)) return;
    clients_.erase(client);
    ++ended_;
  }
  void accept() {
    os::Peer peer;
    while (true) {
      os::SocketResult result = os::accept_from(listener_, peer);
      if (result.status == os::IoStatus::aborted) ++ended_;
      if (result.status != os::IoStatus::done) return;
      while (!os::epoll_add(epoll_, result.fd, next_, 7, os::Mode::edge)) continue;
      clients_[next_++].fd = std::move(result.fd);
    }
  }
  // False when the connection is over.
  static bool serve(Client& client) {
    std::array<char, 700> buffer;
    while (true) {
      while (!client.unsent.empty()) {
        const os::IoResult sent = os::send(client.fd, client.unsent);
        if (sent.status == os::IoStatus::again) return true;
        if (sent.status != os::IoStatus::done) return false;
        client.unsent.erase(0, sent.bytes);
      }
      if (client.at_end) return false;
      const os::IoResult got = os::receive(client.fd, buffer.data(), buffer.size());
      if (got.status == os::IoStatus::again) return true;
      client.at_end = got.status != os::IoStatus::done;
      client.unsent.assign(buffer.data(), got.bytes);
    }
  }

  os::Fd epoll_ = os::epoll_create();
  os::Fd listener_;
  std::map<std::uint64_t, Client> clients_;
  std::uint64_t next_ = 1;
  std::size_t ended_ = 0;
};

// Sends a text, ends, and keeps what comes back.
class EchoClient final : public EndpointEvents {
 public:
  explicit EchoClient(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>('a' + i * 7 % 26));
    unsent_ = text;
  }

  void connect(Kernel& kernel, std::uint16_t port) {
    endpoint = Endpoint::connect(kernel, address(port), *this);
  }
  void connected() override { writable(); }
  void writable() override {
    unsent_.erase(0, endpoint.send(unsent_));
    if (unsent_.empty()) endpoint.shutdown_send();
  }
  void readable() override {
    std::array<char, 900> buffer;
    os::IoResult result;
    while ((result = endpoint.receive(buffer.data(), buffer.size())).bytes > 0) {
      came_back.append(buffer.data(), result.bytes);
    }
    at_end = result.status == os::IoStatus::end;
  }
  void ended() override { readable(); }
  void failed(os::IoStatus why) override { failure = why; }
  void reset() override { failure = os::IoStatus::reset; }

  Endpoint endpoint;
  std::string text;
  std::string came_back;
  bool at_end = false;
  os::IoStatus failure = os::IoStatus::done;

 private:
  std::string unsent_;
};

inline void run_to_end(Kernel& kernel) {
  while (kernel.step()) continue;
}

}  // namespace weir::sim::test
