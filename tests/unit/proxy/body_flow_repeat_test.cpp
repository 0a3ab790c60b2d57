#include "proxy/body_flow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/prng.h"
#include "body_flow_fixture.h"

namespace weir::proxy {
namespace {

using http::BodyFraming;
using Kind = BodyFraming::Kind;
using net::test::Side;
using os::test::unix_pair;
using Status = BodyFlow::Status;
using BodyFlowRepeat = test::BodyFlowTest;

std::string decoded_chunks(std::string_view wire, bool& ended) {
  std::string body;
  ended = false;
  while (!wire.empty() && !ended) {
    const std::size_t line = wire.find("\r\n");
    if (line == std::string_view::npos) break;
    const std::size_t size = std::stoul(std::string(wire.substr(0, line)), nullptr, 16);
    wire.remove_prefix(line + 2);
    body += wire.substr(0, size);
    ended = size == 0;
    wire.remove_prefix(std::min(wire.size(), size + 2));
  }
  return body;
}

// The promise of repeatable(): when the sink breaks at any moment and the promise holds, rewinding
// its buffer and going on with another sink gives that one the whole message, once.
TEST_F(BodyFlowRepeat, WhatIsRepeatableIsRepeatedExactly) {
  Prng prng(77);
  const std::string head = "PUT / HTTP/1.1\r\nHost: a\r\n\r\n";
  int repeated = 0;
  int given_up = 0;
  for (int round = 0; round < 600; ++round) {
    renew();
    const bool chunked = round % 2 == 0;
    if (round % 3 == 0) flow.hold();
    const std::size_t size = 1 + prng.bounded(round % 5 == 0 ? 60'000 : 9'000);
    std::string body;
    while (body.size() < size) body += std::to_string(body.size()) + ";";
    begin({Kind::length, body.size()}, chunked);
    net::test::limit_send_buffer(to->fd, 1);
    put_head(head);
    std::string_view unsent = body;
    const int steps = static_cast<int>(prng.bounded(24));
    Status status = Status::need_input;
    for (int step = 0; step < steps && status != Status::complete; ++step) {
      const std::size_t piece = std::min<std::size_t>(unsent.size(), prng.bounded(6'000));
      if (piece > 0) from->peer_sends(unsent.substr(0, piece));
      unsent.remove_prefix(piece);
      status = pump();
      // Every other sink keeps up, so that its buffer is emptied and used again.
      (void)to->peer_reads(round % 4 == 1 || round % 4 == 2 ? SIZE_MAX : prng.bounded(4'000));
    }
    if (!flow.repeatable()) {
      ++given_up;
      continue;
    }
    ++repeated;
    auto other = std::make_unique<Side>(loop, pool, unix_pair());
    other->out = std::move(to->out);
    other->out.rewind();
    to = std::move(other);
    std::string arrived;
    do {
      const std::size_t piece = std::min<std::size_t>(unsent.size(), 6'000);
      if (piece > 0) from->peer_sends(unsent.substr(0, piece));
      unsent.remove_prefix(piece);
      status = pump();
      arrived += to->peer_reads();
      ASSERT_TRUE(status == Status::need_input || status == Status::complete ||
                  status == Status::blocked_output);
    } while (status != Status::complete);
    arrived += to->peer_reads();
    ASSERT_TRUE(arrived.starts_with(head)) << round;
    bool ended = true;
    const std::string content =
        chunked ? decoded_chunks(std::string_view(arrived).substr(head.size()), ended)
                : arrived.substr(head.size());
    ASSERT_EQ(content, body) << round;
    EXPECT_TRUE(ended);
  }
  EXPECT_GT(repeated, 100);
  EXPECT_GT(given_up, 100);
}

TEST_F(BodyFlowRepeat, AHeldBodyStaysRepeatableWhenItFits) {
  const std::string body(10'000, 'b');
  begin({Kind::length, body.size()}, false);
  flow.hold();
  put_head("HEAD");
  from->peer_sends(body);
  EXPECT_EQ(pump(), Status::complete);
  EXPECT_TRUE(flow.repeatable() && flow.decoded());
  to->out.rewind();
  EXPECT_EQ(to->out.readable(), "HEAD" + body);

  renew();
  begin({Kind::length, 30'000}, false);
  flow.hold();
  put_head("HEAD");
  from->peer_sends(std::string(5'000, 'b'));
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_FALSE(flow.repeatable()) << "it cannot fit, so it is not copied in vain";
}

TEST_F(BodyFlowRepeat, AHeadWithoutABodyIsAlwaysRepeatable) {
  begin({Kind::none, 0}, false);
  put_head("HEAD");
  EXPECT_EQ(pump(), Status::complete);
  EXPECT_TRUE(flow.repeatable() && flow.decoded());
}

}  // namespace
}  // namespace weir::proxy
