// Resolver: looks names up on a thread of its own, so that nobody with an event loop waits for DNS.
//
//   control thread: ask(question) ──► queue ──► resolver thread: c-ares, at most kLookupsMax at
//   once control thread: next_answer() ◄── queue ◄── answered() becomes readable
//
// Each lookup has a c-ares channel to itself: the system's resolv.conf and hosts file are read
// anew for each, so that their changes count at once; each has source ports of its own, which
// makes forged answers harder to place; and ending a channel ends all that its lookup still waits
// for.
// Made and used by one thread. Every question gets exactly one answer, in any order.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "os/fd.h"

namespace weir::os {

struct Question {
  std::string name;  // Without a final dot.
  bool srv = false;  // Ask for SRV records and their targets' addresses, else A and AAAA records.
  // "127.0.0.1:53,[::1]:53"; empty: those of resolv.conf.
  std::string servers;

  bool operator==(const Question&) const = default;
};

// The later ones say more about what is wrong: they speak for a lookup of several parts.
enum class LookupStatus : std::uint8_t {
  ok,              // At least one address.
  no_data,         // The name exists and has no such records.
  no_such_name,    // NXDOMAIN
  malformed,       // An answer that cannot be read.
  server_failure,  // SERVFAIL, REFUSED, or nobody listens there.
  timed_out,
};
// "no such name"
[[nodiscard]] const char* to_string(LookupStatus status);

struct ResolvedAddress {
  // Of an SRV record (RFC 2782); all 0 for A and AAAA.
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string ip;      // Canonical literal without brackets.
  std::string target;  // Whose address it is: the name asked for, or the SRV record's target.

  auto operator<=>(const ResolvedAddress&) const = default;
  [[nodiscard]] bool ipv6() const { return ip.find(':') != std::string::npos; }
};

// A part of the lookup that failed without saying that there is nothing.
struct UnknownPart {
  std::string target;
  bool ipv6 = false;

  bool operator==(const UnknownPart&) const = default;
};

struct Answer {
  Question question;
  LookupStatus status = LookupStatus::timed_out;
  std::vector<ResolvedAddress> addresses;  // Sorted, no two alike; never an unspecified address.
  std::vector<UnknownPart> unknown;        // Only with `ok`: some names or families failed.
  // The shortest lifetime of the records used; 0 for what the hosts file says, and without any.
  std::uint32_t ttl_s = 0;
};

class Resolver {
 public:
  // Lookups under way at one time; further questions wait for their turn.
  static constexpr std::size_t kLookupsMax = 16;
  static constexpr std::size_t kTargetsMax = 64;  // Of an SRV answer; the rest is left out.
  // A name server is asked twice, the second time with twice the patience. An SRV lookup with
  // silent targets takes this twice.
  static constexpr int kTimeoutMs = 2'500;

  explicit Resolver(int timeout_ms = kTimeoutMs);
  // Gives up what is under way and joins the thread at once.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void ask(Question question);
  // Readable from an answer until next_answer() has returned nothing.
  [[nodiscard]] const Fd& answered() const;
  [[nodiscard]] std::optional<Answer> next_answer();

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace weir::os
