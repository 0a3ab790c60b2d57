// A body flow between two sockets whose other ends the test holds.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "../net/side.h"
#include "proxy/body_flow.h"

namespace weir::proxy::test {

using net::test::Side;

class BodyFlowTest : public testing::Test {
 protected:
  BodyFlowTest() { renew(); }
  void renew() {
    from = std::make_unique<Side>(loop, pool, os::test::unix_pair());
    to = std::make_unique<Side>(loop, pool, os::test::unix_pair());
    flow = BodyFlow{};
  }
  void begin(const http::BodyFraming& framing, bool chunked_out) {
    flow.begin(framing, chunked_out, trailers, {});
  }
  BodyFlow::Status pump() {
    from->latch_all();
    to->latch_all();
    return flow.pump(*from, *to);
  }
  void put_head(std::string_view head) {
    ASSERT_TRUE(to->out.lease(pool));
    to->out.append(head);
  }

  loop::Loop loop;
  net::BufferPool pool;
  http::HeadParser trailers;
  std::unique_ptr<Side> from;
  std::unique_ptr<Side> to;
  BodyFlow flow;
};

}  // namespace weir::proxy::test
