// FakeDns: a name server for tests on 127.0.0.1 that answers as it was told to.
//
// What does not fit into 512 bytes is cut off over UDP and whole over TCP (RFC 1035 4.2.1).
// A name it was told nothing about does not exist; a name with records of other types has no data.
// Records are in the wire format of RFC 1035 4.1.3, made by the functions below.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "os/os.h"
#include "sockets.h"

namespace weir::os::test {

enum RecordType : std::uint16_t {
  kA = 1,
  kCname = 5,
  kAaaa = 28,
  kSrv = 33,
};

inline std::string number(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string wire_name(const std::string& name) {
  std::string wire;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    wire += static_cast<char>(dot - at) + name.substr(at, dot - at);
    at = dot + 1;
  }
  return wire + '\0';
}

inline std::string record(const std::string& name, RecordType type, std::uint32_t ttl_s,
                          const std::string& data) {
  return wire_name(name) + number(type, 2) + number(1, 2) + number(ttl_s, 4) +
         number(static_cast<std::uint32_t>(data.size()), 2) + data;
}

inline std::string a(const std::string& name, std::uint32_t ttl_s, const std::string& ip) {
  std::string data(4, '\0');
  EXPECT_EQ(inet_pton(AF_INET, ip.c_str(), data.data()), 1);
  return record(name, kA, ttl_s, data);
}
inline std::string aaaa(const std::string& name, std::uint32_t ttl_s, const std::string& ip) {
  std::string data(16, '\0');
  EXPECT_EQ(inet_pton(AF_INET6, ip.c_str(), data.data()), 1);
  return record(name, kAaaa, ttl_s, data);
}
inline std::string cname(const std::string& name, std::uint32_t ttl_s, const std::string& target) {
  return record(name, kCname, ttl_s, wire_name(target));
}
inline std::string srv(const std::string& name, std::uint32_t ttl_s, std::uint16_t priority,
                       std::uint16_t weight, std::uint16_t port, const std::string& target) {
  return record(name, kSrv, ttl_s,
                number(priority, 2) + number(weight, 2) + number(port, 2) + wire_name(target));
}

struct Reply {
  std::vector<std::string> records = {};
  std::uint8_t rcode = 0;
  bool silent = false;
  std::string garbage = {};  // Instead of everything behind the question.
  bool foreign = false;      // With a wrong id, as a forger would guess it.
};

class FakeDns {
 public:
  FakeDns() {
    // Both protocols at one port, which for either of them may be taken.
    for (int tries = 0; tries < 100 && !tcp_.valid(); ++tries) {
      udp_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const Address any = *Address::ip("127.0.0.1", 0);
      EXPECT_EQ(::bind(udp_.get(), &any.any, any.size), 0);
      tcp_ = listen_on(*Address::ip("127.0.0.1", bound_port(udp_)), Share::first, 16).fd;
    }
    EXPECT_TRUE(tcp_.valid());
    thread_ = std::jthread([this] { serve(); });
  }
  ~FakeDns() { wakeup_notify(stop_); }
  FakeDns(const FakeDns&) = delete;
  FakeDns& operator=(const FakeDns&) = delete;

  [[nodiscard]] std::uint16_t port() const { return bound_port(udp_); }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  void set(const std::string& name, RecordType type, Reply reply) {
    const std::lock_guard lock(mutex_);
    replies_[{wire_name(name), type}] = std::move(reply);
  }
  // Questions that have come, by name and type.
  [[nodiscard]] std::size_t different_questions() {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }

 private:
  using Key = std::pair<std::string, std::uint16_t>;

  void serve() {
    while (true) {
      pollfd waiting[] = {
          {udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(waiting, 3, -1) < 0 || waiting[2].revents != 0) return;
      if (waiting[0].revents != 0) serve_udp();
      if (waiting[1].revents != 0) serve_tcp();
    }
  }
  void serve_udp() {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    char room[512];
    const ssize_t got =
        ::recvfrom(udp_.get(), room, sizeof room, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 12) return;
    std::string answer = answer_to({room, static_cast<std::size_t>(got)});
    if (answer.size() > 512) {
      answer.resize(static_cast<std::size_t>(got));  // The head and the question.
      answer[2] = static_cast<char>(answer[2] | 2);  // TC
      answer.replace(6, 2, 2, '\0');
    }
    if (answer.empty()) return;
    ::sendto(udp_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
  // One query of a connection, in one piece.
  void serve_tcp() {
    Peer peer;
    const SocketResult accepted = accept_from(tcp_, peer);
    char room[514];
    if (!accepted.fd.valid() || !wait_for(accepted.fd, POLLIN)) return;
    const IoResult got = receive(accepted.fd, room, sizeof room);
    if (got.bytes < 14) return;
    const std::string answer = answer_to({room + 2, got.bytes - 2});
    (void)send(accepted.fd, number(static_cast<std::uint32_t>(answer.size()), 2) + answer);
  }

  std::string answer_to(const std::string& query) {
    const std::size_t name_end = query.find('\0', 12) + 1;
    const std::string name = query.substr(12, name_end - 12);
    const auto type = static_cast<std::uint16_t>(query[name_end + 1]);
    const std::lock_guard lock(mutex_);
    ++asked_[{name, type}];
    const auto found = replies_.find({name, type});
    const Reply reply = found != replies_.end() ? found->second : Reply{{}, missing(name)};
    if (reply.silent) return {};
    const std::string id = reply.foreign ? number(~static_cast<std::uint8_t>(query[0]), 2) : "";
    return (id.empty() ? query.substr(0, 2) : id) + number(0x8180u | reply.rcode, 2) +
           number(1, 2) + number(static_cast<std::uint32_t>(reply.records.size()), 2) +
           number(0, 4) + query.substr(12, name_end + 4 - 12) + joined(reply);
  }
  static std::string joined(const Reply& reply) {
    std::string text = reply.garbage;
    for (const std::string& one : reply.records) text += one;
    return text;
  }
  std::uint8_t missing(const std::string& name) const {
    for (const auto& [key, reply] : replies_) {
      if (key.first == name) return 0;
    }
    return 3;
  }

  Fd udp_;
  Fd tcp_;
  Fd stop_ = wakeup_create();
  std::mutex mutex_;
  std::map<Key, Reply> replies_;
  std::map<Key, int> asked_;
  std::jthread thread_;
};

}  // namespace weir::os::test
