#include "proxy/body_flow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "body_flow_fixture.h"

namespace weir::proxy {
namespace {

using http::BodyFraming;
using Kind = BodyFraming::Kind;
using net::test::Side;
using os::test::unix_pair;
using Status = BodyFlow::Status;

// A body as it comes in. `payload[i]`: byte i of the wire belongs to the content.
struct Wire {
  BodyFraming framing;
  std::string bytes;
  std::vector<bool> payload;
  std::string trailers;  // As they are to be forwarded, with the empty line.

  Wire& frame(std::string_view text) { return add(text, false); }
  Wire& content(std::string_view text) { return add(text, true); }
  Wire& add(std::string_view text, bool is_payload) {
    bytes += text;
    payload.resize(bytes.size(), is_payload);
    return *this;
  }
  [[nodiscard]] std::string body() const {
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (payload[i]) text += bytes[i];
    }
    return text;
  }
};

Wire with_length(std::string_view body) {
  Wire wire{{Kind::length, body.size()}, "", {}, "\r\n"};
  return wire.content(body);
}
Wire until_close(std::string_view body) {
  Wire wire{{Kind::until_close, 0}, "", {}, "\r\n"};
  return wire.content(body);
}
Wire in_chunks() {
  Wire wire{{Kind::chunked, 0}, "", {}, "\r\n"};
  wire.frame("4\r\n").content("Wiki").frame("\r\n");
  wire.frame("01;ext=\"q\\\"\"\r\n").content("p").frame("\r\n");
  wire.frame("1A \t;x\r\n").content("abcdefghijklmnopqrstuvwxyz").frame("\r\n");
  return wire.frame("0\r\n\r\n");
}
Wire with_trailers() {
  Wire wire{{Kind::chunked, 0}, "", {}, "X-Sum: 1\r\nX-Odd:  \r\n\r\n"};
  wire.frame("3\r\n").content("abc").frame("\r\n0;last\r\n");
  wire.frame("X-Sum: 1\r\nContent-Length: 7\r\nX-Odd:  \r\n\r\n");
  wire.trailers = "X-Sum: 1\r\nX-Odd:\r\n\r\n";
  return wire;
}

struct Case {
  const char* name;
  Wire wire;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"length", with_length("The quick brown fox.")},
      {"length one", with_length("x")},
      {"length none", with_length("")},
      {"no body", Wire{{Kind::none, 0}, "", {}, ""}},
      {"until close", until_close("The quick brown fox.")},
      {"until close, empty", until_close("")},
      {"chunked", in_chunks()},
      {"chunked, empty", Wire{{Kind::chunked, 0}, "", {}, "\r\n"}.frame("0\r\n\r\n")},
      {"trailers", with_trailers()},
  };
  return all;
}

// What must leave for these cuts: as it is, or each run of content that arrived in one piece and in
// one chunk as a chunk of its own. Written without looking at the product.
std::string expected_output(const Wire& wire, const std::vector<std::size_t>& cuts, bool chunked) {
  if (!chunked || wire.framing.kind == Kind::none) return wire.body();
  std::string out;
  std::string run;
  const auto end_run = [&] {
    if (run.empty()) return;
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", run.size());
    out += size + run + "\r\n";
    run.clear();
  };
  for (std::size_t i = 0; i < wire.bytes.size(); ++i) {
    if (!wire.payload[i] || std::find(cuts.begin(), cuts.end(), i) != cuts.end()) end_run();
    if (wire.payload[i]) run += wire.bytes[i];
  }
  end_run();
  return out + "0\r\n" + wire.trailers;
}

class ExactBodyFlow : public test::BodyFlowTest {
 protected:
  // Feeds the wire cut at `cuts`, behind a head, and expects exactly the right bytes. What follows
  // the body on the wire must stay where it is.
  void expect_exact(const Case& tested, std::vector<std::size_t> cuts, bool chunked) {
    SCOPED_TRACE(std::string(tested.name) + (chunked ? ", chunked out, cut at " : ", cut at ") +
                 testing::PrintToString(cuts));
    const Wire& wire = tested.wire;
    const bool closes = wire.framing.kind == Kind::until_close;
    renew();
    begin(wire.framing, chunked);
    put_head("HEAD\r\n\r\n");
    std::size_t at = 0;
    cuts.push_back(wire.bytes.size());
    Status status = Status::need_input;
    for (const std::size_t cut : cuts) {
      const bool last = cut == wire.bytes.size();
      std::string piece = wire.bytes.substr(at, cut - at);
      if (last && !closes) piece += "NEXT";
      if (!piece.empty()) from->peer_sends(piece);
      at = cut;
      status = pump();
      ASSERT_EQ(status, last && !closes ? Status::complete : Status::need_input);
    }
    if (closes) {
      from->peer_finishes();
      status = pump();
    }
    ASSERT_EQ(status, Status::complete);
    ASSERT_EQ(to->peer_reads(), "HEAD\r\n\r\n" + expected_output(wire, cuts, chunked));
    EXPECT_EQ(flow.body_bytes(), wire.body().size());
    EXPECT_TRUE(flow.decoded());
    std::string left(from->in.readable());
    while (from->fill().status == os::IoStatus::done) left = from->in.readable();
    EXPECT_EQ(left, closes ? "" : "NEXT");
  }
};
using BodyFlowTest = ExactBodyFlow;

// --- Every framing, every way out, every cut -----------------------------------------------------

TEST_F(BodyFlowTest, IsExactInOnePiece) {
  for (const Case& tested : cases()) {
    for (const bool chunked : {false, true}) expect_exact(tested, {}, chunked);
  }
}

TEST_F(BodyFlowTest, IsExactCutAtEveryPosition) {
  for (const Case& tested : cases()) {
    for (const bool chunked : {false, true}) {
      for (std::size_t cut = 1; cut < tested.wire.bytes.size(); ++cut) {
        expect_exact(tested, {cut}, chunked);
      }
    }
  }
}

TEST_F(BodyFlowTest, IsExactCutAtEveryTwoPositions) {
  for (const Case& tested : cases()) {
    const std::size_t size = tested.wire.bytes.size();
    for (std::size_t first = 1; first < size; ++first) {
      for (std::size_t second = first + 1; second < size; second += 3) {
        expect_exact(tested, {first, second}, (first + second) % 2 == 0);
      }
    }
  }
}

TEST_F(BodyFlowTest, IsExactByteByByte) {
  for (const Case& tested : cases()) {
    std::vector<std::size_t> cuts;
    for (std::size_t cut = 1; cut < tested.wire.bytes.size(); ++cut) cuts.push_back(cut);
    for (const bool chunked : {false, true}) expect_exact(tested, cuts, chunked);
  }
}

TEST_F(BodyFlowTest, DiscardEndsAtTheSameByte) {
  for (const Case& tested : cases()) {
    if (tested.wire.framing.kind == Kind::until_close) continue;
    for (std::size_t cut = 0; cut <= tested.wire.bytes.size(); ++cut) {
      renew();
      begin(tested.wire.framing, true);
      const std::string all = tested.wire.bytes + "NEXT";
      if (cut > 0) {
        from->peer_sends(all.substr(0, cut));
        EXPECT_EQ(flow.discard(*from),
                  cut < tested.wire.bytes.size() ? Status::need_input : Status::complete);
      }
      from->peer_sends(all.substr(cut));
      ASSERT_EQ(flow.discard(*from), Status::complete) << tested.name << cut;
      if (from->in.empty()) (void)from->fill();
      EXPECT_EQ(from->in.readable(), "NEXT");
    }
  }
}

// The rest of a body may become unwanted in the middle.
TEST_F(BodyFlowTest, DiscardTakesOverFromPump) {
  begin({Kind::length, 10}, false);
  from->peer_sends("01234");
  EXPECT_EQ(pump(), Status::need_input);
  from->peer_sends("56789NEXT");
  EXPECT_EQ(flow.discard(*from), Status::complete);
  EXPECT_EQ(to->peer_reads(), "01234");
  EXPECT_EQ(from->in.readable(), "NEXT");
  EXPECT_EQ(flow.body_bytes(), 10u);
}

// --- Bounds --------------------------------------------------------------------------------------

void enlarge_buffers(const Side& side) {
  const int bytes = 8 << 20;
  for (const os::Fd* fd : {&side.fd, &side.far()}) {
    ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
}

TEST_F(BodyFlowTest, OneStepMovesABoundedAmount) {
  for (const bool chunked : {false, true}) {
    renew();
    enlarge_buffers(*from);
    enlarge_buffers(*to);
    const std::string available(180'000, 'x');
    begin({Kind::length, 1'000'000'000}, chunked);
    from->peer_sends(available);
    EXPECT_EQ(pump(), Status::working);
    EXPECT_GE(flow.body_bytes(), BodyFlow::kStepBytes);
    EXPECT_LE(flow.body_bytes(), BodyFlow::kStepBytes + net::kBlockBytes);
    EXPECT_EQ(pump(), Status::need_input);
    EXPECT_EQ(flow.body_bytes(), available.size());
  }
  renew();
  begin({Kind::length, 1'000'000'000}, false);
  enlarge_buffers(*from);
  from->peer_sends(std::string(180'000, 'x'));
  EXPECT_EQ(flow.discard(*from), Status::working);
  EXPECT_LE(flow.body_bytes(), BodyFlow::kStepBytes + net::kBlockBytes);
}

// What a chunk costs besides its bytes counts too, and many small ones leave in few sends.
TEST_F(BodyFlowTest, ManySmallChunksAreBoundedAndCollected) {
  constexpr int kChunks = 20'000;
  std::string wire;
  for (int i = 0; i < kChunks; ++i) wire += "1\r\nx\r\n";
  for (const bool chunked_out : {false, true}) {
    renew();
    enlarge_buffers(*from);
    enlarge_buffers(*to);
    begin({Kind::chunked, 0}, chunked_out);
    from->peer_sends(wire);
    EXPECT_EQ(pump(), Status::working);
    EXPECT_LE(flow.body_bytes(), BodyFlow::kStepBytes / BodyFlow::kPieceBytes);
    int steps = 1;
    while (pump() == Status::working) ++steps;
    EXPECT_EQ(flow.body_bytes(), std::uint64_t{kChunks});
    EXPECT_GE(steps, 5);
    const std::string sent = to->peer_reads();
    EXPECT_EQ(std::count(sent.begin(), sent.end(), 'x'), kChunks);
    EXPECT_EQ(chunked_out, sent.size() > kChunks);
  }
  renew();
  enlarge_buffers(*from);
  begin({Kind::chunked, 0}, false);
  from->peer_sends(wire);
  EXPECT_EQ(flow.discard(*from), Status::working);
  EXPECT_LE(flow.body_bytes(), BodyFlow::kStepBytes / BodyFlow::kPieceBytes);
}

// The sink takes a little at a time and tells by its edges; the source is a stream without end.
// While the sink is full not a byte is read, so memory does not grow and the source feels it.
TEST_F(BodyFlowTest, AFullSinkStopsTheSourceAndItsEdgeGoesOn) {
  for (const bool chunked : {false, true}) {
    loop::test::DrivenLoop turning;
    Side source(turning, pool, unix_pair());
    Side sink(turning, pool, unix_pair());
    net::test::limit_send_buffer(sink.fd, 4'096);
    source.ready.reset(0);
    sink.ready.reset(0);
    ASSERT_TRUE(turning.watch(source) && turning.watch(sink));
    BodyFlow stream;
    std::string body;
    for (int i = 0; body.size() < 400'000; ++i) body += std::to_string(i) + ",";
    stream.begin({Kind::length, body.size()}, chunked, trailers, {});
    std::string_view unsent = body;
    const auto feed = [&] {
      const os::IoResult result = os::send(source.far(), unsent);
      if (result.status == os::IoStatus::done) unsent.remove_prefix(result.bytes);
    };
    feed();
    Status status = Status::need_input;
    ASSERT_TRUE(turning.turn_until([&] {
      status = stream.pump(source, sink);
      return status == Status::blocked_output;
    }));
    const std::uint64_t read = stream.body_bytes();
    const std::uint64_t received = source.traffic().bytes_received.read();
    for (int i = 0; i < 10; ++i) {
      feed();
      turning.turn_now();
      EXPECT_EQ(stream.pump(source, sink), Status::blocked_output);
      EXPECT_FALSE(stream.progressed());
    }
    EXPECT_EQ(stream.body_bytes(), read);
    EXPECT_EQ(source.traffic().bytes_received.read(), received) << "nothing was read meanwhile";
    EXPECT_LE(pool.leased(), 2u);

    std::string arrived;
    ASSERT_TRUE(turning.turn_until([&] {
      feed();
      status = stream.pump(source, sink);
      arrived += sink.peer_reads(3'000);
      return status == Status::complete;
    }));
    arrived += sink.peer_reads();
    if (chunked) {
      ASSERT_TRUE(arrived.ends_with("0\r\n\r\n"));
      std::string content;
      for (std::size_t at = 0; at < arrived.size();) {
        const std::size_t size = std::stoul(arrived.substr(at), nullptr, 16);
        at = arrived.find("\r\n", at) + 2;
        content += arrived.substr(at, size);
        at += size + 2;
      }
      arrived = content;
    }
    EXPECT_EQ(arrived, body);
    turning.unwatch(source);
    turning.unwatch(sink);
  }
}

// --- What can go wrong ---------------------------------------------------------------------------

bool has_last_chunk(const std::string& output) {
  return ("\r\n" + output).find("\r\n0\r\n") != std::string::npos;
}

TEST_F(BodyFlowTest, BrokenChunkedCodingIsMalformedAndNeverEndedValidly) {
  const std::vector<std::pair<std::string, http::ParseError>> broken = {
      {"x\r\n", http::ParseError::bad_chunk_size},
      {"3\r\nabcX", http::ParseError::bad_chunk_end},
      {"3\nabc\r\n", http::ParseError::bare_lf},
      {"3\r\nabc\r\n0\r\nBad Name: x\r\n\r\n", http::ParseError::space_before_colon},
      {"0\r\n folded\r\n\r\n", http::ParseError::folded_field},
  };
  for (const auto& [bytes, error] : broken) {
    for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
      renew();
      begin({Kind::chunked, 0}, true);
      from->peer_sends(bytes.substr(0, cut));
      Status status = pump();
      if (cut < bytes.size() && status == Status::need_input) {
        from->peer_sends(bytes.substr(cut));
        status = pump();
      }
      EXPECT_EQ(status, Status::malformed) << bytes << cut;
      EXPECT_EQ(flow.error(), error) << bytes << cut;
      EXPECT_FALSE(has_last_chunk(to->peer_reads()));
    }
  }
}

TEST_F(BodyFlowTest, AnEarlyEndIsToldAtEveryByteAndNeverEndedValidly) {
  for (const Case& tested : cases()) {
    const Kind kind = tested.wire.framing.kind;
    if (kind == Kind::until_close || kind == Kind::none) continue;
    for (std::size_t cut = 0; cut < tested.wire.bytes.size(); ++cut) {
      renew();
      begin(tested.wire.framing, true);
      if (cut > 0) from->peer_sends(tested.wire.bytes.substr(0, cut));
      from->peer_finishes();
      EXPECT_EQ(pump(), Status::source_ended) << tested.name << cut;
      EXPECT_FALSE(has_last_chunk(to->peer_reads())) << tested.name << cut;
      EXPECT_EQ(flow.discard(*from), Status::source_ended);
    }
  }
}

TEST_F(BodyFlowTest, AResetSourceHasFailed) {
  begin({Kind::until_close, 0}, true);
  os::test::Pair sockets = os::test::tcp_pair();
  Side source(loop, pool, std::move(sockets));
  source.peer_sends("part");
  ASSERT_TRUE(os::test::wait_delivered(source.far()));
  EXPECT_EQ(flow.pump(source, *to), Status::need_input);
  os::close_with_reset(source.far());
  source.peer_leaves();
  ASSERT_TRUE(os::test::wait_for(source.fd, POLLHUP));
  source.latch_all();
  EXPECT_EQ(flow.pump(source, *to), Status::source_failed) << "not the end of a body";
  EXPECT_EQ(to->peer_reads(), "4\r\npart\r\n");
}

TEST_F(BodyFlowTest, ASinkThatIsGoneHasFailed) {
  for (const bool chunked : {false, true}) {
    renew();
    begin({Kind::length, 5}, chunked);
    put_head("HEAD");
    from->peer_sends("12345");
    to->peer_leaves();
    EXPECT_EQ(pump(), Status::sink_failed);
  }
}

TEST_F(BodyFlowTest, WithoutABufferNothingMoves) {
  net::BufferPool none(0);
  Side poor(loop, none, unix_pair());
  poor.peer_sends("12345");
  begin({Kind::length, 5}, false);
  EXPECT_EQ(flow.pump(poor, *to), Status::no_buffer);
  Side poor_sink(loop, none, unix_pair());
  begin({Kind::length, 5}, true);
  from->peer_sends("12345");
  EXPECT_EQ(flow.pump(*from, poor_sink), Status::no_buffer) << "chunks are put together in a block";
}

TEST_F(BodyFlowTest, ASmallBodyLeavesTogetherWithItsHead) {
  const auto sends_of = [&](std::size_t size) {
    renew();
    begin({Kind::length, size}, false);
    put_head("HEAD");
    from->peer_sends(std::string(size, 'b'));
    EXPECT_EQ(from->fill().bytes, size);  // As when it came together with the head.
    EXPECT_EQ(pump(), Status::complete);
    EXPECT_EQ(to->peer_reads(), "HEAD" + std::string(size, 'b'));
    return to->out.consumed();
  };
  EXPECT_EQ(sends_of(100), 104u) << "copied behind the head";
  EXPECT_EQ(sends_of(10'000), 4u) << "sent from where it was received";
}

}  // namespace
}  // namespace weir::proxy
