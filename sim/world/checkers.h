// Checkers: what must hold, whatever the seed does. Each has a name, which is printed when it
// fails.
//
// A failed check ends the process as a failed CHECK inside weir does; the parent process reports
// either, with the last lines of the trace, and makes the run smaller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/world/ledger.h"
#include "sim/world/oracle.h"

namespace weir::sim {

// Prints "FAIL checker: what" to standard error and aborts.
[[noreturn]] void fail(std::string_view checker, const std::string& what);

inline void check(bool holds, std::string_view checker, const std::string& what) {
  if (!holds) fail(checker, what);
}

// A request's head is complete at a server. Returns the request. Checks that it is one that was
// sent, that it may reach a server, that it may do so again, and that weir wrote it canonically.
Request& check_arrival(Ledger& ledger, const MessageHead& head);

// The same for a copy of a request at a mirror's server. There is one at most.
Request& check_copy(Ledger& ledger, const MessageHead& head);

// A health check is complete at a server.
void check_probe(const MessageHead& head);

// The bytes behind the answer of attempt `serial` met `request` on the same connection. Nobody can
// tell them from its answer when they came after it was reused; those that were there before must
// have ended the connection.
void check_surplus(Ledger& ledger, const Request& request, std::uint64_t serial);

// A final answer's head is complete at the client that asked for `request`.
void check_answer_head(Ledger& ledger, const Request& request, const MessageHead& head);

// A client's connection has ended with `request` unfinished, although neither side had said so.
void check_unfinished(const Ledger& ledger, const Request& request, bool by_reset,
                      std::uint64_t now_ns);

// weir has reset the connection without knowing whether the end of its answer to `request` has
// arrived. Who closes on his own account waits for a client that still sends (RFC 9112 9.6).
void check_reset(const Ledger& ledger, const Request& request, std::uint64_t now_ns);

// The value of "key": in a line of the access log, without quotes; empty without one.
[[nodiscard]] std::string_view value_of(std::string_view line, std::string_view key);

// Whose line of the access log this is; empty when its head was never understood.
[[nodiscard]] std::optional<RequestId> id_of_log_line(std::string_view line);

// One line of the access log, the only one of its request.
void check_log_line(Ledger& ledger, Request& request, std::string_view line);

// One line for the operator.
void count_event(Ledger& ledger, std::string_view line);

// After the run: log lines and answers agree.
void check_log_complete(Ledger& ledger);

// After the run, whole or broken off: counts what got no complete answer. Every request that was
// begun is in one class.
void check_totals(Ledger& ledger);

}  // namespace weir::sim
