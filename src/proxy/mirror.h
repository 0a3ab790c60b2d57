// Mirror: one copy of a request on its way to one server of a mirror's backend, whose answer is
// read and thrown away. Nobody waits for it, and nobody learns how it went but the counters.
//
//   chosen --> connecting --> sending --> waiting --> discarding --> ended
//     |            |            | |          |            |            ^
//     |            |            | +----------|----------->|            |  an early answer
//     +------------+------------+------------+------------+------------+
//
// Holds a slot at the server, the copy's bytes (one block) until they are sent, a block for what
// comes back, and the snapshot it began with; from begin() to `ended` all but the snapshot, which
// it gives back when it is reaped. Each state has one deadline, set once: however slowly the server
// trickles, a copy ends. It is tried once, and runs as bulk work: clients come first.
// Owned by Mirrors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/head_parser.h"
#include "http/method.h"
#include "http/response.h"
#include "loop/source.h"
#include "net/buffer.h"
#include "proxy/body_flow.h"
#include "upstream/backend.h"

namespace weir::proxy {

class Session;
class Worker;
struct SnapshotUse;
struct MirrorTag;

class Mirror final : public loop::Source, public ListLink<MirrorTag> {
 public:
  enum class State : std::uint8_t {
    chosen,      // Has a server and the bytes, and is in the run queue. No connection, no deadline.
    connecting,  // Deadline: connect.
    sending,     // The answer is looked for as well. Deadline for all of it: response_body.
    waiting,     // The server has every byte; no final head yet. Deadline: response_head.
    discarding,  // The answer's body is dropped. Deadline for all of it: response_body.
    ended,       // Retired; holds nothing but the snapshot.
  };

  // To backend `backend` of the snapshot. `method`: that of the request.
  Mirror(Worker& worker, SnapshotUse& use, std::uint32_t backend, http::MethodId method);
  ~Mirror();

  // Takes a copy of `request` and a server for it. False when there is no server with room or no
  // block: to be destroyed then.
  [[nodiscard]] bool begin(Session& client, std::uint64_t key, std::string_view request);
  // Ends now: the program leaves.
  void abandon();

  [[nodiscard]] State state() const { return state_; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  using Event = health::Passive::Event;

  void enter(State next);
  [[nodiscard]] std::optional<std::uint64_t> patience_ms() const;
  void step();
  void connect();
  void connect_finish();
  void adopt(upstream::ServerConnection& connection, bool is_connected);
  void connected();
  void not_pending();
  void connect_failed(os::IoStatus status);
  void send();
  void read_head();
  void head_complete(const http::ResponseInfo& info);
  void discard();
  void broken(bool timed_out = false);
  void fail(Event event);
  void answered(std::uint16_t status);
  void conclude(Event event);
  void report(Event event);
  void end(std::uint64_t idle_ms);
  [[nodiscard]] std::uint64_t now_us() const;

  // Others get their turn after so many.
  static constexpr int kHeadsPerStep = 16;

  Worker& worker_;
  SnapshotUse& use_;
  const upstream::BackendPlan& plan_;
  upstream::Backend& backend_;
  upstream::Pick pick_;
  upstream::ServerConnection* connection_ = nullptr;
  net::Buffer request_;  // Until there is a connection.
  http::HeadParser parser_;
  BodyFlow body_;
  std::uint64_t idle_ms_ = 0;  // How long the connection may be kept; 0: not at all.
  http::MethodId method_;
  State state_ = State::chosen;
  bool reused_ = false;
  bool pending_ = false;       // Counted among the server's connections being opened.
  bool answer_begun_ = false;  // At least one byte of an answer was seen.
  bool bad_ = false;           // The status that came.
  bool reported_ = false;      // The picker knows how it ended.
};

// Legal next states.
inline constexpr std::array kMirrorNext = {
    //         chosen connecting sending waiting discarding ended
    std::array{false, true, true, false, false, true},    // chosen
    std::array{false, false, true, false, false, true},   // connecting
    std::array{false, false, false, true, true, true},    // sending
    std::array{false, false, false, false, true, true},   // waiting
    std::array{false, false, false, false, false, true},  // discarding
    std::array{false, false, false, false, false, false}  // ended
};
static_assert(kMirrorNext.size() == static_cast<std::size_t>(Mirror::State::ended) + 1);

[[nodiscard]] const char* to_string(Mirror::State state);

}  // namespace weir::proxy
