// Bodies that go through pipes: exact in every framing, and bounded and cut short like the others.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../net/side.h"
#include "proxy/body_flow.h"

namespace weir::proxy {
namespace {

using http::BodyFraming;
using Kind = BodyFraming::Kind;
using net::test::Side;
using os::test::Pair;
using Status = BodyFlow::Status;

constexpr std::size_t kBodyBytes = 700'000;
constexpr std::string_view kHead = "HEAD\r\n\r\n";

std::string pattern(std::size_t size) {
  std::string text;
  text.reserve(size + 16);
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  text.resize(size);
  return text;
}

std::string in_chunks(std::string_view body, std::vector<std::size_t> sizes) {
  std::string wire;
  for (std::size_t i = 0; !body.empty(); ++i) {
    const std::string_view data = body.substr(0, sizes[i % sizes.size()]);
    char line[24];
    std::snprintf(line, sizeof line, "%zx;x\r\n", data.size());
    wire.append(line).append(data).append("\r\n");
    body.remove_prefix(data.size());
  }
  return wire + "0\r\n";
}

// The content of a chunked body; nothing when it is not a valid one that ends with `end`.
std::optional<std::string> without_chunks(std::string_view wire,
                                          std::string_view end = "0\r\n\r\n") {
  std::string content;
  while (wire != end) {
    const std::size_t line = wire.find("\r\n");
    if (line == std::string_view::npos || line == 0) return {};
    const std::size_t size = std::stoul(std::string(wire.substr(0, line)), nullptr, 16);
    if (size == 0 || wire.size() < line + size + 4) return {};
    if (wire.substr(line + 2 + size, 2) != "\r\n") return {};
    content += wire.substr(line + 2, size);
    wire.remove_prefix(line + size + 4);
  }
  return content;
}

class BodyFlowSplice : public testing::TestWithParam<bool> {
 protected:
  BodyFlowSplice() { renew(); }
  ~BodyFlowSplice() override { unwatch(); }

  // The parameter: over TCP, else over unix sockets.
  [[nodiscard]] static Pair sockets() {
    return GetParam() ? os::test::tcp_pair() : os::test::unix_pair();
  }
  void unwatch() {
    for (Side* side : {from.get(), to.get()}) {
      if (side != nullptr) turning.unwatch(*side);
    }
  }
  void renew() {
    unwatch();
    from = std::make_unique<Side>(turning, pool, sockets());
    to = std::make_unique<Side>(turning, pool, sockets());
    for (Side* side : {from.get(), to.get()}) {
      side->ready.reset(0);
      ASSERT_TRUE(turning.watch(*side));
    }
    flow = BodyFlow{};
    got.clear();
    // Edges of two new sockets.
    ASSERT_TRUE(turning.turn_until([&] { return from->ready.may_send() && to->ready.may_send(); }));
  }
  void begin(const BodyFraming& framing, bool chunked_out) {
    flow.begin(framing, chunked_out, trailers, {});
    flow.splice_through(pipes);
    ASSERT_TRUE(to->out.lease(pool));
    to->out.append(kHead);
  }
  // Sends `wire` in pieces of that size, and what follows it, while the flow runs and its sink is
  // read; until the flow says something that waiting does not change.
  Status run(std::string_view wire, std::size_t piece, bool then_finish = false) {
    Status status = Status::need_input;
    EXPECT_TRUE(turning.turn_until([&] {
      if (!wire.empty()) {
        const os::IoResult sent = os::send(from->far(), wire.substr(0, piece));
        if (sent.status == os::IoStatus::done) wire.remove_prefix(sent.bytes);
      } else if (then_finish) {
        os::shutdown_send(from->far());
        then_finish = false;
      }
      status = flow.pump(*from, *to);
      got += to->peer_reads();
      return status != Status::need_input && status != Status::blocked_output &&
             status != Status::working;
    }));
    return status;
  }
  // What came behind the head, once the sink's peer has got as much.
  std::string arrived() {
    EXPECT_TRUE(os::test::eventually([&] {
      got += to->peer_reads();
      return got.size() >= to->traffic().bytes_sent.read();
    }));
    EXPECT_TRUE(got.starts_with(kHead));
    return got.substr(kHead.size());
  }
  [[nodiscard]] std::uint64_t leases() const {
    return pipes.counters().created.read() + pipes.counters().reused.read();
  }

  struct Case {
    const char* name;
    BodyFraming framing;
    std::string wire;  // Behind the head.
    std::string end = "0\r\n\r\n";
  };
  [[nodiscard]] static std::vector<Case> cases(const std::string& body) {
    return {
        {"length", {Kind::length, body.size()}, body},
        {"until close", {Kind::until_close, 0}, body},
        {"one chunk", {Kind::chunked, 0}, in_chunks(body, {body.size()}) + "\r\n"},
        {"chunks", {Kind::chunked, 0}, in_chunks(body, {100'000, 5, 32'768, 18'432, 1}) + "\r\n"},
        {"trailers",
         {Kind::chunked, 0},
         in_chunks(body, {200'000}) + "X-Sum: 1\r\n\r\n",
         "0\r\nX-Sum: 1\r\n\r\n"},
    };
  }

  loop::test::DrivenLoop turning;
  net::BufferPool pool;
  net::PipePool pipes;
  http::HeadParser trailers;
  std::unique_ptr<Side> from;
  std::unique_ptr<Side> to;
  std::string got;
  BodyFlow flow;
};

INSTANTIATE_TEST_SUITE_P(Over, BodyFlowSplice, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "Tcp" : "Unix");
});

TEST_P(BodyFlowSplice, IsExactInEveryFramingAndEveryCut) {
  const std::string body = pattern(kBodyBytes);
  for (const Case& tested : cases(body)) {
    const bool closes = tested.framing.kind == Kind::until_close;
    for (const bool chunked : {false, true}) {
      for (const std::size_t piece : {std::size_t{7'001}, std::size_t{65'536}, kBodyBytes * 2}) {
        SCOPED_TRACE(std::string(tested.name) + (chunked ? ", chunked out, " : ", ") +
                     std::to_string(piece));
        renew();
        begin(tested.framing, chunked);
        const std::uint64_t before = leases();
        ASSERT_EQ(run(tested.wire + (closes ? "" : "NEXT"), piece, closes), Status::complete);
        EXPECT_GT(leases(), before);
        const std::string output = arrived();
        if (chunked) {
          EXPECT_TRUE(without_chunks(output, tested.end) == body);
        } else {
          EXPECT_TRUE(output == body);
        }
        EXPECT_EQ(flow.body_bytes(), body.size());
        EXPECT_TRUE(flow.decoded());
        EXPECT_FALSE(flow.repeatable());
        EXPECT_EQ(to->traffic().bytes_sent.read(), kHead.size() + output.size());
        if (closes) continue;
        ASSERT_TRUE(os::test::eventually([&] {
          (void)from->fill();
          return from->in.size() >= 4;
        }));
        EXPECT_EQ(from->in.readable(), "NEXT");
        EXPECT_EQ(from->traffic().bytes_received.read(), tested.wire.size() + 4);
        from->in.release();
      }
    }
  }
  EXPECT_EQ(pipes.counters().spilled.read(), 0u);
}

TEST_P(BodyFlowSplice, SmallBodiesAndSmallChunksTakeNoPipe) {
  const std::string body = pattern(BodyFlow::kSpliceBytesMin - 1);
  for (const bool chunked : {false, true}) {
    renew();
    begin({Kind::length, body.size()}, chunked);
    ASSERT_EQ(run(body, 10'000), Status::complete);
    renew();
    begin({Kind::until_close, 0}, chunked);
    ASSERT_EQ(run(body, 10'000, true), Status::complete);
    renew();
    begin({Kind::chunked, 0}, chunked);
    ASSERT_EQ(run(in_chunks(pattern(kBodyBytes), {body.size()}) + "\r\n", 60'000),
              Status::complete);
  }
  EXPECT_EQ(leases(), 0u);
}

// What is received little by little behind a spliced chunk stays so only until the next.
TEST_P(BodyFlowSplice, SmallChunksBehindALargeOneArriveAsTheyAre) {
  const std::string large = pattern(100'000);
  begin({Kind::chunked, 0}, true);
  const auto send = [&](const std::string& wire, std::size_t content) {
    const std::uint64_t before = flow.body_bytes();
    ASSERT_EQ(os::send(from->far(), wire).bytes, wire.size());
    ASSERT_TRUE(turning.turn_until([&] {
      EXPECT_NE(flow.pump(*from, *to), Status::complete);
      got += to->peer_reads();
      return flow.body_bytes() == before + content && from->in.empty() && to->out.empty();
    }));
  };
  const std::string small = "64\r\n" + pattern(100) + "\r\n";
  send(in_chunks(large, {large.size()}).substr(0, large.size() + 11), large.size());
  EXPECT_GT(leases(), 0u);
  send(small, 100);
  const std::size_t before = arrived().size();
  send(small, 100);
  send(small, 100);
  EXPECT_EQ(arrived().substr(before), small + small);
}

TEST_P(BodyFlowSplice, WithoutPipesItIsCopied) {
  const std::string body = pattern(kBodyBytes);
  net::PipePool none(0);
  begin({Kind::length, body.size()}, false);
  flow.splice_through(none);
  ASSERT_EQ(run(body, kBodyBytes), Status::complete);
  EXPECT_TRUE(arrived() == body);
  EXPECT_GT(none.counters().refused.read(), 0u);
  EXPECT_EQ(leases(), 0u);
}

TEST_P(BodyFlowSplice, AHeldBodyThatIsTooLargeIsSplicedAndNotRepeatable) {
  const std::string body = pattern(kBodyBytes);
  begin({Kind::length, body.size()}, false);
  flow.hold();
  EXPECT_TRUE(flow.repeatable());
  ASSERT_EQ(run(body, 50'000), Status::complete);
  EXPECT_FALSE(flow.repeatable());
  EXPECT_TRUE(arrived() == body);
  EXPECT_GT(leases(), 0u);
}

// Nothing is corked: with room in its peer's window, a socket has sent all it was given.
TEST_P(BodyFlowSplice, TheLastBytesAreNotDelayed) {
  if (!GetParam()) GTEST_SKIP() << "unix sockets hold nothing back";
  const std::string body = pattern(100'001);
  for (const bool whole : {false, true}) {
    renew();
    begin({Kind::length, body.size()}, false);
    const std::string_view given = std::string_view(body).substr(0, whole ? body.size() : 90'001);
    ASSERT_EQ(os::send(from->far(), given).bytes, given.size());
    ASSERT_TRUE(turning.turn_until([&] {
      const Status status = flow.pump(*from, *to);
      got += to->peer_reads();
      return flow.body_bytes() == given.size() && status != Status::working;
    }));
    int unsent = -1;
    ASSERT_EQ(::ioctl(to->fd.get(), SIOCOUTQNSD, &unsent), 0);
    EXPECT_EQ(unsent, 0);
  }
}

TEST_P(BodyFlowSplice, AnEarlyEndComesAfterItsBytesAndIsNoValidEnd) {
  const std::string body = pattern(kBodyBytes);
  for (const Case& tested : cases(body)) {
    if (tested.framing.kind == Kind::until_close) continue;
    for (const bool chunked : {false, true}) {
      SCOPED_TRACE(std::string(tested.name) + (chunked ? ", chunked out" : ""));
      renew();
      begin(tested.framing, chunked);
      ASSERT_EQ(run(std::string_view(tested.wire).substr(0, 150'000), 65'536, true),
                Status::source_ended);
      const std::string output = arrived();
      EXPECT_EQ(flow.body_bytes() > 149'000, true);
      if (!chunked) {
        EXPECT_TRUE(output == body.substr(0, flow.body_bytes()));
      } else {
        EXPECT_FALSE(without_chunks(output));
        EXPECT_TRUE(without_chunks(output + "0\r\n\r\n") == body.substr(0, flow.body_bytes()));
      }
    }
  }
}

TEST_P(BodyFlowSplice, DiscardForgetsWhatIsInThePipe) {
  const std::string body = pattern(kBodyBytes);
  net::test::limit_send_buffer(to->fd, 4'096);
  begin({Kind::length, body.size()}, false);
  std::string_view unsent = body;
  const auto feed = [&] {
    const os::IoResult sent = os::send(from->far(), unsent);
    if (sent.status == os::IoStatus::done) unsent.remove_prefix(sent.bytes);
  };
  ASSERT_TRUE(turning.turn_until([&] {
    feed();
    (void)flow.pump(*from, *to);
    return pipes.counters().open.read() == 1 && !to->ready.may_send();
  }));
  ASSERT_TRUE(turning.turn_until([&] {
    if (!unsent.empty()) feed();
    return flow.discard(*from) == Status::complete;
  }));
  EXPECT_EQ(flow.body_bytes(), body.size());
  EXPECT_EQ(pipes.counters().spilled.read(), 1u);
  EXPECT_EQ(pipes.counters().open.read(), 0u);
}

TEST_P(BodyFlowSplice, AFullSinkStopsTheSource) {
  for (const bool chunked : {false, true}) {
    renew();
    net::test::limit_send_buffer(to->fd, 4'096);
    const std::string body = pattern(12 << 20);
    begin({Kind::length, body.size()}, chunked);
    std::string_view unsent = body;
    const auto feed = [&] {
      const os::IoResult sent = os::send(from->far(), unsent);
      if (sent.status == os::IoStatus::done) unsent.remove_prefix(sent.bytes);
    };
    Status status = Status::need_input;
    ASSERT_TRUE(turning.turn_until([&] {
      feed();
      status = flow.pump(*from, *to);
      return status == Status::blocked_output;
    }));
    const std::uint64_t received = from->traffic().bytes_received.read();
    for (int i = 0; i < 10; ++i) {
      feed();
      turning.turn_now();
      EXPECT_EQ(flow.pump(*from, *to), Status::blocked_output);
      EXPECT_FALSE(flow.progressed());
    }
    EXPECT_EQ(from->traffic().bytes_received.read(), received);
    EXPECT_LE(pool.leased(), 1u);  // The end of a chunk; the pipe has the rest.
    got += to->peer_reads(70'000);
    ASSERT_TRUE(turning.turn_until([&] {
      feed();
      status = flow.pump(*from, *to);
      got += to->peer_reads(70'000);
      return flow.body_bytes() > 1'000'000;
    }));
    flow = BodyFlow{};
  }
}

TEST_P(BodyFlowSplice, AStepIsBounded) {
  const int bytes = 8 << 20;
  for (const Side* side : {from.get(), to.get()}) {
    for (const os::Fd* fd : {&side->fd, &side->far()}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
  }
  const std::string body = pattern(3 << 20);
  begin({Kind::length, body.size()}, true);
  std::string_view unsent = body;
  std::uint64_t before = 0;
  int working = 0;
  ASSERT_TRUE(turning.turn_until([&] {
    if (!unsent.empty()) {
      const os::IoResult sent = os::send(from->far(), unsent);
      if (sent.status == os::IoStatus::done) unsent.remove_prefix(sent.bytes);
      if (!unsent.empty()) return false;
    }
    const Status status = flow.pump(*from, *to);
    EXPECT_LE(flow.body_bytes() - before, BodyFlow::kStepBytes + net::kPipeBytes);
    before = flow.body_bytes();
    working += status == Status::working ? 1 : 0;
    got += to->peer_reads();
    return status == Status::complete;
  }));
  EXPECT_GE(working, 3);
}

TEST_P(BodyFlowSplice, AResetSourceHasFailed) {
  const std::string body = pattern(kBodyBytes);
  begin({Kind::length, body.size()}, false);
  ASSERT_EQ(os::send(from->far(), std::string_view(body).substr(0, 60'000)).bytes, 60'000u);
  ASSERT_TRUE(turning.turn_until([&] {
    (void)flow.pump(*from, *to);
    return flow.body_bytes() == 60'000;
  }));
  os::close_with_reset(from->far());
  from->peer_leaves();
  const Status expected = GetParam() ? Status::source_failed : Status::source_ended;
  EXPECT_EQ(run("", 0), expected);
  EXPECT_TRUE(arrived() == body.substr(0, 60'000));
}

// The error is told once. What the sink has to get before it is blocked, and the end that the
// kernel tells from then on is none.
TEST_P(BodyFlowSplice, AResetThatABlockedSinkHidStaysAFailure) {
  if (!GetParam()) GTEST_SKIP() << "a unix socket that is reset has no error";
  const std::string body = pattern(60'000);
  begin({Kind::until_close, 0}, true);
  ASSERT_EQ(os::send(from->far(), body).bytes, body.size());
  ASSERT_TRUE(turning.turn_until([&] {
    return flow.pump(*from, *to) == Status::need_input && flow.body_bytes() == body.size();
  }));
  const std::string filling(1 << 20, 'x');
  while (os::send(to->fd, filling).status == os::IoStatus::done) {
  }
  ASSERT_TRUE(to->out.lease(pool));
  to->out.append("the end of a chunk");
  os::close_with_reset(from->far());
  from->peer_leaves();
  to->ready.latch(os::kWritable);
  ASSERT_EQ(flow.pump(*from, *to), Status::blocked_output);
  EXPECT_TRUE(os::test::eventually([&] {
    (void)to->peer_reads();
    to->ready.latch(os::kWritable);
    return flow.pump(*from, *to) != Status::blocked_output;
  }));
  EXPECT_EQ(flow.pump(*from, *to), Status::source_failed);
}

// Then what the sink itself said is no whole body either.
TEST_P(BodyFlowSplice, ASinkThatIsResetAmidASpliceTellsItsReader) {
  if (!GetParam()) GTEST_SKIP() << "over a unix socket the error stays";
  begin({Kind::length, kBodyBytes}, false);
  EXPECT_EQ(flow.pump(*from, *to), Status::need_input) << "the head is out";
  to->peer_vanishes();
  from->peer_sends_segments(40);
  EXPECT_TRUE(turning.turn_until([&] { return flow.pump(*from, *to) == Status::sink_failed; }));
  to->latch_all();
  BodyFlow back;
  back.begin({Kind::until_close, 0}, true, trailers, {});
  EXPECT_EQ(back.pump(*to, *from), Status::source_failed);
}

TEST_P(BodyFlowSplice, ASinkThatIsGoneHasFailed) {
  const std::string body = pattern(kBodyBytes);
  begin({Kind::length, body.size()}, false);
  to->peer_leaves();
  EXPECT_EQ(run(body, 65'536), Status::sink_failed);
}

TEST_P(BodyFlowSplice, UrgentDataInTheMiddleIsSteppedOver) {
  if (!GetParam()) GTEST_SKIP() << "unix sockets have none";
  const std::string body = pattern(200'000);
  begin({Kind::length, body.size()}, false);
  ASSERT_EQ(os::send(from->far(), std::string_view(body).substr(0, 60'000)).bytes, 60'000u);
  ASSERT_TRUE(turning.turn_until([&] {
    (void)flow.pump(*from, *to);
    return flow.body_bytes() == 60'000;
  }));
  ASSERT_EQ(::send(from->far().get(), "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  EXPECT_EQ(run(std::string_view(body).substr(60'000), 50'000), Status::complete);
  EXPECT_TRUE(arrived() == body);
}

}  // namespace
}  // namespace weir::proxy
