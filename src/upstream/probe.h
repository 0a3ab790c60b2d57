// Probe: one health check of one server, over a connection of its own.
//
//                    is there                all is sent
//   connecting --------------> sending -----------------------> head --> body --> done
//        |                      |  |                              |               ^
//        |                      |  +--> expecting (bare TCP) -----|---------------+
//        |                      |       nothing is expected       |               |
//        +----------------------+---------------------------------+---------------+
//                    refused, reset, broken, not as expected, out of time
//
// An HTTP answer is read with the parser of the data path and to its end, but of its body only
// kProbeBodyMax bytes: beyond that the status decides. One deadline covers everything, so an answer
// that never ends is either too large or too late.
//
// Created by its owner, which is told at the end of the turn in which the check ended and destroys
// it then.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "http/chunked.h"
#include "http/head_parser.h"
#include "http/response.h"
#include "net/connection.h"
#include "upstream/probe_outcome.h"

namespace weir::upstream {

class Probe;

class ProbeOwner {
 public:
  // The check is over: outcome() says how. To destroy it is the owner's part.
  virtual void probed(Probe& probe) = 0;

 protected:
  ~ProbeOwner() = default;
};

class Probe final : public net::Connection {
 public:
  enum class State : std::uint8_t {
    connecting,  // Until the socket is writable. All states: the check's one deadline is armed.
    sending,     // `sent_` bytes of the plan's are away.
    head,        // A head, or part of one, is in `in`; interim ones are dropped.
    body,        // `framing_` finds its end.
    expecting,   // Bare TCP: whatever comes is searched.
    done,        // Retired; the owner is told at the end of the turn.
  };

  // `plan` must outlive the probe, or cancel().
  Probe(ProbeOwner& owner, const ProbePlan& plan, loop::Loop& loop, net::BufferPool& buffers,
        net::Traffic& traffic)
      : Connection(loop::SourceKind::upstream, loop, buffers, traffic),
        owner_(owner),
        plan_(&plan) {}

  // Once. However it goes, the owner is told later, never from in here.
  void start();
  // Nobody wants to know any more; the owner is told nevertheless. Not when done.
  void cancel() { finish(ProbeResult::no_resources); }

  [[nodiscard]] State state() const { return state_; }
  // Valid once the owner is told.
  [[nodiscard]] ProbeOutcome& outcome() { return outcome_; }

  void run() override;
  void expire() override;
  void reap() override { owner_.probed(*this); }

 private:
  // Where the next undecoded byte of a body belongs.
  enum class Framing : std::uint8_t {
    length,  // `left_` bytes follow.
    chunked,
    trailers,
    until_close,
  };

  void enter(State next);
  void finish(ProbeResult result);
  void finish_broken(http::ParseError error);
  void finish_searched(ProbeResult when_missing);

  void step_connect();
  void step_send();
  void step_read();
  void read_head();
  void begin_body(const http::ResponseInfo& info);
  void read_body();
  void read_chunk();
  [[nodiscard]] bool read_trailers();
  void read_bytes();
  [[nodiscard]] bool take(std::string_view data, std::size_t consumed);
  void body_ended();
  void input_ended();

  ProbeOwner& owner_;
  const ProbePlan* plan_;
  std::uint64_t started_ns_ = 0;
  std::size_t sent_ = 0;
  State state_ = State::connecting;
  Framing framing_ = Framing::until_close;
  std::uint64_t left_ = 0;
  http::ChunkedDecoder decoder_;
  http::HeadParser parser_;
  ProbeOutcome outcome_;
};

// Legal next states.
inline constexpr std::array kProbeNext = {
    std::array{false, true, false, false, false, true},   // connecting
    std::array{false, false, true, false, true, true},    // sending
    std::array{false, false, false, true, false, true},   // head
    std::array{false, false, false, false, false, true},  // body
    std::array{false, false, false, false, false, true},  // expecting
    std::array{false, false, false, false, false, false}  // done
};
static_assert(kProbeNext.size() == static_cast<std::size_t>(Probe::State::done) + 1);

[[nodiscard]] const char* to_string(Probe::State state);

}  // namespace weir::upstream
