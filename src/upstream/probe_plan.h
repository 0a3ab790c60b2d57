// ProbePlan: one server's health check, ready to be carried out: whom to ask, the bytes to send,
// and what to expect.
//
// Compiled once per server and configuration. Owned by whoever runs the probes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "http/method.h"
#include "os/address.h"

namespace weir::upstream {

struct ProbePlan {
  os::Address address;
  std::string address_text;
  bool http = true;                                // Otherwise bare TCP.
  http::MethodId method = http::MethodId::get;     // It decides whether the answer has a body.
  std::string send;                                // The whole request; of bare TCP often nothing.
  std::vector<config::StatusRange> expect_status;  // Empty: any.
  std::string expect;            // In the body, or in what comes back; empty: anything.
  std::uint64_t timeout_ms = 0;  // Connecting, sending and the whole answer.

  [[nodiscard]] bool expects(std::uint16_t status) const;
};

// `check.type` is not none. `send_proxy`: version of the PROXY header that the server expects, or
// 0. `user_agent`: what weir calls itself.
[[nodiscard]] ProbePlan make_probe_plan(const config::HealthCheck& check,
                                        const config::Server& server, unsigned send_proxy,
                                        std::string_view user_agent);

}  // namespace weir::upstream
