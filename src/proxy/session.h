// Session: a client's connection as its worker knows it, from accept to close, whatever it speaks.
//
// Its kinds are HttpSession and TcpSession. All events of a session, and those of the server
// connection it uses, run it: one step at a time. Owned by a slab of its worker, freed by reap.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/intrusive_list.h"
#include "net/connection.h"
#include "proxy/counters.h"
#include "upstream/connection_owner.h"
#include "wire/proxy_error.h"

namespace weir::wire {
struct ProxyHeader;
}

namespace weir::proxy {

class Worker;
struct ListenerPlan;
struct LoggedOutcome;
struct MovingClient;
struct SessionTag;

// What the PROXY header of a connection said besides who the client is.
struct Introduction {
  os::Peer destination;  // What the client had connected to.
  std::string tlvs;      // Of version 2, as they came.
};

class Session : public net::Connection, public ListLink<SessionTag> {
 public:
  Session(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer);
  // A client that another worker has served until now.
  Session(Worker& worker, MovingClient& client);

  // Right after accept or adoption: tries to read at once, since the first bytes are often there
  // already.
  void start() { loop().schedule(*this); }
  // The worker leaves: closes now when nothing is under way, else when that has ended.
  virtual void drain() = 0;
  // Closes for one that waits, if nobody works for it and nothing has arrived just now.
  [[nodiscard]] virtual bool make_room() = 0;
  // The worker has a newer snapshot: who waits for a server waits by that.
  virtual void follow() = 0;
  // Closes at once, whatever goes on.
  virtual void abort(CloseReason reason) = 0;
  void watch_failed() override;

  // Its last request followed the answer before it closely: such a client keeps its place.
  [[nodiscard]] bool in_steady_use() const { return steady_; }
  [[nodiscard]] std::uint64_t idle_since_ms() const { return idle_since_ms_; }
  // Who the client is.
  [[nodiscard]] const os::Peer& peer() const { return peer_; }
  [[nodiscard]] std::uint32_t listener() const { return listener_; }
  // For connections to servers that are this client's alone.
  [[nodiscard]] upstream::ConnectionOwner& connection_owner();
  // The header of the PROXY protocol that tells a server who the client is, in `version` 1 or 2.
  // Appended to `to`; false when there is no block for it.
  [[nodiscard]] bool write_proxy_header(unsigned version, net::Buffer& to);

 protected:
  ~Session() = default;

  [[nodiscard]] Worker& worker() const { return worker_; }
  [[nodiscard]] const ListenerPlan& plan() const;

  enum class Greeting : std::uint8_t {
    waiting,     // More is needed; `in` is empty when nothing has come.
    complete,    // The header is taken off, or there is none and need not be.
    bad,         // It must be there and is not, or is not valid.
    untrusted,   // It is there, from one who may not send it.
    over_limit,  // The client it names has reached a limit for new connections.
    left,        // The client has closed in order, before any header.
    broken,      // The connection is broken; receiving again would find an end.
    no_memory,
  };
  // Whether the connection begins with a PROXY header, or must not: greet() finds out.
  [[nodiscard]] bool to_be_greeted() const { return to_be_greeted_; }
  [[nodiscard]] bool owes_greeting() const;
  // For a PROXY header, and for a ClientHello.
  [[nodiscard]] std::uint64_t greeting_patience_ms() const;
  // The header that it owes does not come, or not to its end: a bad one.
  void greeting_cut_short();
  // Of a bad one: which rule it broke. Empty when it is no header at all.
  [[nodiscard]] std::string_view broken_rule() const;
  // One line for a connection without a request, that began at `started_us` on the loop's clock.
  void log_connection(std::uint64_t started_us, std::string_view server_name,
                      LoggedOutcome& outcome);
  // What has come so slowly is no header.
  void stop_greeting() { to_be_greeted_ = false; }
  // Reads it. Who sends one is the client's proxy; who it names is the client from then on.
  [[nodiscard]] Greeting greet();
  // Watches the socket once it has to be waited for. False: the kernel refused, session closed.
  [[nodiscard]] bool ensure_watched();
  // The same, but its events can wait: for a client that has asked and may be gone soon.
  [[nodiscard]] bool ensure_watched_soon();
  // Counts the close, gives everything back that a connection has, and retires.
  void end(CloseReason reason);
  [[nodiscard]] std::uint64_t now_ms() const { return loop().now_ms(); }
  [[nodiscard]] std::uint64_t now_us() const { return loop().now_us(); }
  void begin_idle();
  void set_steady(bool steady) { steady_ = steady; }

  // Between two requests: nothing ties the client to this worker.
  [[nodiscard]] bool may_leave() const { return steady_ && in.empty() && !connection_owner_; }
  // What another worker needs to go on. Retire then.
  [[nodiscard]] MovingClient leave();

  // RFC 9112 9.6: closing with unread bytes resets the connection, and the client may lose what it
  // was sent last. So: FIN, read on for a while, close. False: the session was closed on the way.
  [[nodiscard]] bool linger_begin();
  // One bounded step; false when there is nothing left to wait for.
  [[nodiscard]] bool linger_step();

  // The first bytes of a new client are still on their way for so long.
  static constexpr std::uint64_t kArrivalMs = 50;
  // While draining, a silent client is waited for this long.
  static constexpr std::uint64_t kDrainPatienceMs = 1'000;
  // A client that ignores the end of the conversation is read for this long, and this much at a
  // time before others get their turn.
  static constexpr std::uint64_t kLingerMs = 2'000;
  static constexpr std::size_t kLingerStepBytes = 128 * 1024;

 private:
  [[nodiscard]] Greeting read_greeting();
  [[nodiscard]] Greeting suspect_greeting();
  [[nodiscard]] Greeting introduced(const wire::ProxyHeader& header, std::size_t size);

  Worker& worker_;
  os::Peer peer_;
  std::uint32_t listener_;
  std::uint64_t idle_since_ms_;  // Accepted, or the last answer's end.
  bool steady_ = false;
  bool to_be_greeted_;
  wire::ProxyError broken_rule_{};                               // `none`.
  std::unique_ptr<upstream::ConnectionOwner> connection_owner_;  // Once asked for.
  std::unique_ptr<const Introduction> introduction_;             // Null without a PROXY header.
};

}  // namespace weir::proxy
