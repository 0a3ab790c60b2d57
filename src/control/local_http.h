// LocalHttpServer: what weir answers itself: the admin pages, and the embedded servers of the demo.
//
// A small HTTP/1.1 server for GET and HEAD on a loop, made of the product's own parser, connections
// and buffers. Answers are complete in memory before their first byte is sent; requests with a body
// are refused. It is reachable by strangers as much as the product is, so everything is bounded:
// connections, head size and time, the time an answer may take, and the memory of all answers
// that clients have not taken yet.
//
// Belongs to the thread that turns the loop; the handler runs there and must not block. Destroyed
// while the loop is not inside a turn, before the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/counter.h"
#include "base/intrusive_list.h"
#include "base/slab.h"
#include "control/local_connection.h"
#include "http/method.h"
#include "loop/loop.h"
#include "net/buffer.h"
#include "net/connection.h"
#include "net/listener.h"

namespace weir::control {

struct LocalRequest {
  http::MethodId method = http::MethodId::get;  // get or head; nothing else reaches a handler.
  std::string_view path;                        // As received, not decoded; begins with "/".
  std::string_view query;                       // With its "?", or empty.
};

struct LocalResponse {
  std::uint16_t status = 200;  // One that may have a body.
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;            // Left away in the answer to HEAD, but its length is told.
  std::uint64_t delay_ms = 0;  // The answer leaves this much later.
  std::string extra_fields;    // Whole lines, each with its CRLF; at most 4 KiB.
};

struct LocalHttpLimits {
  std::size_t connections_max = 64;
  std::uint64_t head_timeout_ms = 5'000;     // First byte, or the accept, to the end of the head.
  std::uint64_t idle_timeout_ms = 30'000;    // Between two requests.
  std::uint64_t answer_timeout_ms = 60'000;  // First byte of an answer to its last.
  std::uint64_t linger_timeout_ms = 2'000;   // The client's part of the close, see lingering.
  std::uint64_t drain_timeout_ms = 1'000;    // For a first request, once draining.
  // Answers not taken yet, over all connections. Only looked at before an answer is made, so one
  // more of any size comes on top.
  std::size_t answer_bytes_max = std::size_t{64} << 20;
};

struct LocalHttpCounters {
  net::ListenerCounters listener;
  Counter requests;         // Heads that were understood.
  Counter refused;          // Heads that were not: syntax, size, time.
  Counter answers_max_hit;  // Requests answered with 503 because of answer_bytes_max.
  Counter answers_cut;      // Answers that the client did not take in time.
  net::Traffic traffic;
};

class LocalHttpServer final : private net::Acceptor {
 public:
  using Handler = std::function<void(const LocalRequest&, LocalResponse&)>;

  LocalHttpServer(loop::Loop& loop, os::Fd listening_socket, Handler handler,
                  LocalHttpLimits limits = {});
  ~LocalHttpServer();
  LocalHttpServer(const LocalHttpServer&) = delete;
  LocalHttpServer& operator=(const LocalHttpServer&) = delete;

  // Starts accepting. False when the kernel has no room for the watch.
  [[nodiscard]] bool start();
  // Stops accepting and closes idle connections; what has begun is answered and then closed.
  void drain();
  // Nothing is left; only after drain().
  [[nodiscard]] bool drained() const { return draining_ && connections_.live() == 0; }

  // Open now.
  [[nodiscard]] std::size_t connections() const { return open_; }
  [[nodiscard]] const LocalHttpCounters& counters() const { return counters_; }
  // Of the listening socket; 0 for unix sockets, and once draining.
  [[nodiscard]] std::uint16_t port() const;

 private:
  friend class LocalConnection;

  [[nodiscard]] Verdict may_accept(bool waiting) override;
  void accepted(os::Fd fd, const os::Peer& peer) override;
  void reaped(LocalConnection& connection);
  // A connection was freed, or may make room now: a paused listener tries again.
  void made_room();
  // Who makes room for a newcomer; null: nobody can.
  [[nodiscard]] LocalConnection* longest_spare();

  loop::Loop& loop_;
  Handler handler_;
  LocalHttpLimits limits_;
  LocalHttpCounters counters_;
  net::BufferPool buffers_;
  Slab<LocalConnection> connections_;
  // Every connection is in one of the two: `spare_` has those to which no answer is owed, because
  // no whole request came since they were accepted or answered; the longest first.
  IntrusiveList<LocalConnection, LocalConnectionTag> spare_;
  IntrusiveList<LocalConnection, LocalConnectionTag> busy_;
  net::Listener listener_;
  std::size_t open_ = 0;  // Connections not closed.
  std::size_t answer_bytes_ = 0;
  bool draining_ = false;
};

}  // namespace weir::control
