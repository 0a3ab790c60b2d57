// The access log: one JSON object per exchange. docs/access_log.md lists the keys.
//
// The request's part is written when its head is understood, because the head's bytes are gone at
// the end; the rest follows when the exchange ends. Both go into one buffer block, so a line has a
// bounded size: long values are cut, and end in "...".
#pragma once

#include <cstdint>
#include <string_view>

#include "net/buffer.h"
#include "proxy/log_ring.h"

namespace weir::proxy {

struct LoggedRequest {
  std::uint64_t wall_clock_ns = 0;  // When its first byte came.
  std::string_view client;          // Address without port; empty for unix sockets.
  std::uint16_t client_port = 0;
  std::string_view listener;
  std::string_view method;
  std::string_view host;
  std::string_view path;
  std::string_view query;  // With its "?", or empty.
  std::string_view user_agent;
  std::string_view proto;  // "1.1", "1.0", or empty when it was not understood.
};

// A connection of a TCP listener, or what a request has become.
struct LoggedConnection {
  std::uint64_t wall_clock_ns = 0;  // When it was accepted.
  std::string_view client;
  std::uint16_t client_port = 0;
  std::string_view listener;
  std::string_view server_name;  // Of its ClientHello, or empty.
};

struct LoggedOutcome {
  std::uint16_t status = 0;  // 0: the client got no answer.
  std::string_view error;    // From the closed list, or empty.
  std::string_view rule;     // Which one was broken, of HTTP, the PROXY protocol or a ClientHello.
  std::string_view route;
  std::string_view backend;
  std::string_view server;
  std::uint64_t duration_us = 0;     // First byte of the request to the end of the exchange.
  std::uint64_t queue_us = 0;        // Waited for a server that was not full.
  std::uint64_t connect_us = 0;      // Of the last attempt; 0 on a kept connection.
  std::uint64_t first_byte_us = 0;   // Start of the last attempt to the first byte of its answer.
  std::uint64_t bytes_received = 0;  // Body bytes from the client.
  std::uint64_t bytes_sent = 0;      // Body bytes to the client.
  std::uint32_t attempts = 0;
  bool http = true;     // There is a status, and an answer with a first byte.
  bool reused = false;  // The last attempt used a kept connection.
};

// Starts the line in `line`, an empty leased buffer.
void log_request(net::Buffer& line, const LoggedRequest& request);
void log_connection(net::Buffer& line, const LoggedConnection& connection);
// Ends the line. A line without log_request() gets only the outcome.
void log_outcome(net::Buffer& line, const LoggedOutcome& outcome);

}  // namespace weir::proxy
