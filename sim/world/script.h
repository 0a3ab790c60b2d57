// Scripts: what clients and servers are going to do, as plain values drawn from a seed.
//
// Every script is drawn from numbers of its own (seed, number of the client; seed, request and
// attempt), so that a run with fewer clients or requests leaves those that remain as they were.
// That is what makes shrinking work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/world/identity.h"
#include "sim/world/oracle.h"

namespace weir::sim {

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

using Framing = MessageHead::Framing;

// What is wrong with a request. The head ones must never reach a server, the body ones never in
// full.
enum class Hostile : std::uint8_t {
  none,
  // In the head.
  two_lengths,
  length_and_chunked,
  negative_length,
  listed_length,
  unknown_coding,
  chunked_twice,
  chunked_in_http10,
  bare_lf,
  bare_cr,
  zero_byte,
  blank_before_colon,
  folded_field,
  two_hosts,
  no_host,
  bad_version,
  bad_target,
  blank_in_target,
  endless_head,
  junk,
  // In the body.
  bad_chunk_size,
  huge_chunk_size,
  bare_lf_in_chunk,
  long_chunk,
  folded_trailer,
  count_,
};
[[nodiscard]] constexpr bool hostile_head(Hostile hostile) {
  return hostile != Hostile::none && hostile < Hostile::bad_chunk_size;
}

[[nodiscard]] constexpr bool hostile_line(Hostile hostile) {
  return hostile == Hostile::junk || hostile == Hostile::bad_version ||
         hostile == Hostile::bad_target || hostile == Hostile::blank_in_target;
}

// How fast a peer sends and reads.
struct Pace {
  std::uint32_t piece_max = 65536;
  std::uint64_t pause_ns = 0;  // Between two pieces.
  [[nodiscard]] bool slow() const { return pause_ns > 0; }
};

// Drawing: true in `share` of a hundred; small numbers as often as large ones; a pace; the size of
// a body, small when it is sent in small or slow pieces, so that it ends in reasonable time.
[[nodiscard]] bool percent(Prng& prng, std::uint64_t share);
[[nodiscard]] std::uint64_t spread(Prng& prng, std::uint64_t most);
[[nodiscard]] Pace draw_pace(Prng& prng, std::uint32_t slow_percent);
[[nodiscard]] std::uint64_t draw_body(Prng& prng, std::uint64_t most, const Pace& pace);

struct RequestScript {
  enum class Expect : std::uint8_t {
    none,
    patient,    // Sends the body when told 100, or after a while.
    impatient,  // Asks, and sends the body at once.
  };
  RequestId id;
  std::string method = "GET";
  Framing framing = Framing::none;
  std::uint64_t body_bytes = 0;
  std::uint64_t seed = 0;  // Of chunk sizes and other details.
  std::uint32_t padding = 0;
  Expect expect = Expect::none;
  Hostile hostile = Hostile::none;
  bool http10 = false;
  bool keep_alive = true;  // Says so where it has to be said.
  bool absolute = false;
  bool upgrade = false;
  bool trailers = false;
  bool routed = true;      // A route matches.
  bool ends_here = false;  // OPTIONS with Max-Forwards: 0.

  // RFC 9110 9.2.2.
  [[nodiscard]] bool idempotent() const;
  [[nodiscard]] std::string target() const;
  // The head as bytes, broken where it is to be.
  [[nodiscard]] std::string head() const;
  // No next request can follow this one on its connection.
  [[nodiscard]] bool last() const { return !keep_alive || hostile != Hostile::none; }
};

struct ClientScript {
  enum class Ending : std::uint8_t {
    finish,      // Closes when the last answer is complete.
    half_close,  // FIN behind the last request, then waits for the answers.
    wait,        // Waits for weir to close.
    reset,       // RST after `ending_at` bytes.
    close,       // Closes both ways after `ending_at` bytes.
    stall,       // Sends nothing more after `ending_at` bytes.
    deaf,        // Reads nothing more after `ending_at` bytes received.
  };
  std::uint32_t number = 0;
  std::vector<RequestScript> requests;
  std::uint64_t start_ns = 0;
  std::uint64_t hesitation_ns = 0;  // Between connecting and the first request.
  std::uint64_t think_ns = 0;       // Between an answer and the next request.
  std::uint32_t pipelined = 1;      // Requests that may be unanswered.
  Pace sending;
  Pace reading;
  Ending ending = Ending::finish;
  std::uint64_t ending_at = UINT64_MAX;
  bool second_listener = false;

  // Leaves on its own before it is answered.
  [[nodiscard]] bool leaves() const { return ending == Ending::reset || ending == Ending::close; }
  [[nodiscard]] bool stalls() const { return ending == Ending::stall || ending == Ending::deaf; }
};

struct AnswerScript {
  // What goes wrong, if anything. Those after `deaf` spoil a connection behind a complete answer.
  enum class Break : std::uint8_t {
    none,
    reset_before,  // Before the first byte of an answer.
    close_before,
    reset_in_head,
    close_in_head,
    reset_in_body,
    close_in_body,
    stall_before,  // Says nothing more until weir leaves.
    stall_in_body,
    bad_status_line,
    two_lengths,
    endless_head,
    bad_chunk,
    switching,  // 101 that nobody asked for.
    deaf,       // Reads nothing of the request's body, and stalls.
    extra_bytes,
    close_later,  // Closes the kept connection some time after the answer.
    count_,
  };
  int status = 200;
  Framing framing = Framing::length;
  std::uint64_t body_bytes = 0;
  std::uint64_t seed = 0;
  std::uint32_t interims = 0;
  std::uint64_t delay_ns = 0;
  Pace sending;
  Break breaks = Break::none;
  std::uint64_t later_ns = 0;  // close_later, or when to leave after a stall.
  bool http10 = false;
  bool keep_alive = true;
  bool trailers = false;
  bool early = false;  // Begins to answer at the request's head.

  [[nodiscard]] bool complete() const {
    return breaks == Break::none || breaks == Break::extra_bytes || breaks == Break::close_later;
  }
  [[nodiscard]] bool stalls() const {
    return breaks == Break::stall_before || breaks == Break::stall_in_body || breaks == Break::deaf;
  }
  // What it sends is no head of an answer.
  [[nodiscard]] bool malformed() const {
    return breaks == Break::bad_status_line || breaks == Break::two_lengths ||
           breaks == Break::endless_head || breaks == Break::switching;
  }
  // It never sends a whole head.
  [[nodiscard]] bool headless() const {
    return malformed() || breaks == Break::reset_in_head || breaks == Break::close_in_head;
  }
  // Its head is whole and what follows is not: weir cuts what it has begun.
  [[nodiscard]] bool cut_behind_head() const {
    return breaks == Break::reset_in_body || breaks == Break::close_in_body ||
           breaks == Break::stall_in_body || breaks == Break::bad_chunk;
  }
  [[nodiscard]] bool bodiless(std::string_view method) const {
    return method == "HEAD" || status == 204 || status == 304;
  }
  [[nodiscard]] std::string head(std::uint64_t serial, RequestId id) const;
  [[nodiscard]] std::string interim(std::uint32_t number) const;
  // What `extra_bytes` sends behind the answer: a message that nobody asked for.
  [[nodiscard]] static std::string surplus(std::uint64_t serial);
};

// How rough this run's peers are; each seed draws its own.
struct Manners {
  std::uint32_t clients = 1;
  std::uint32_t requests_max = 8;
  std::uint32_t servers = 1;
  std::uint32_t mirrors = 0;  // Servers that are sent copies and nothing else.
  bool names = false;         // Some servers are given by host name.
  std::uint32_t hostile_percent = 0;
  std::uint32_t leaving_percent = 0;  // Clients that leave, stall or are deaf.
  std::uint32_t breaking_percent = 0;
  std::uint32_t slow_percent = 0;
  std::uint64_t body_bytes_max = 0;
  bool plain = false;  // Only complete, quick and polite traffic.
};
[[nodiscard]] Manners draw_manners(std::uint64_t seed);
// Of those who come when the storm is over: what they do takes seconds at most.
[[nodiscard]] Manners calmed(const Manners& manners);
[[nodiscard]] ClientScript draw_client(std::uint64_t seed, std::uint32_t number,
                                       const Manners& manners);
[[nodiscard]] AnswerScript draw_answer(std::uint64_t seed, const RequestScript& request,
                                       std::uint64_t attempt, const Manners& manners);

// A body in its framing, produced piece by piece.
class BodyWriter {
 public:
  BodyWriter() = default;
  BodyWriter(Framing framing, std::uint64_t bytes, Stream stream, std::uint64_t seed, bool trailers,
             Hostile hostile = Hostile::none);

  [[nodiscard]] bool done() const { return done_; }
  // Appends the next piece, some ten kilobytes at most.
  void produce(std::string& out);

 private:
  void produce_chunk(std::string& out);
  std::string_view extension();
  void append_data(std::string& out, std::uint64_t size);

  Framing framing_ = Framing::none;
  std::uint64_t left_ = 0;
  std::uint64_t at_ = 0;
  unsigned extensions_left_ = 20;
  Stream stream_{0};
  Prng prng_{0};
  bool trailers_ = false;
  Hostile hostile_ = Hostile::none;
  bool done_ = true;
};

}  // namespace weir::sim
