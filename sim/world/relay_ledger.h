// RelayLedger: which connection was relayed to which, and what each end has sent, heard and seen.
// Both ends write it down; relay_checks.h reads it. One per run.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sim/world/relay_script.h"

namespace weir::sim {

// One end, in bytes of payload.
struct EndRecord {
  enum class Over : std::uint8_t {
    no,  // It has heard of no end, or has left by itself.
    end,
    reset,
  };
  EndScript script;
  std::uint64_t sent = 0;
  std::uint64_t heard = 0;
  std::optional<std::uint64_t> fin_at;  // It has ended its direction, behind so many bytes.
  std::uint64_t fin_ns = 0;
  std::uint64_t heard_ns = 0;  // When the last byte came.
  Over over = Over::no;
  std::uint64_t over_ns = 0;
  bool broke = false;   // It may have caused a RST.
  bool killed = false;  // The network has reset its connection.
};

// A server's end.
struct RelayGuest {
  std::uint64_t serial = 0;
  std::uint32_t server = 0;
  std::optional<std::uint32_t> client;  // Once it is known whose bytes these are.
  EndRecord end;
};

// A client's end, and what has become of it.
struct RelayClientRecord {
  RelayScript script;
  EndRecord end;
  std::string address;  // "192.0.2.1 20000": as the log has it.
  os::Peer source;      // Who it is for a server, and where it has connected to.
  os::Peer destination;
  std::string_view tlvs;
  std::uint64_t begun_ns = 0;
  int status = 0;                       // Of the answer to its request.
  bool formed = false;                  // Bytes may go both ways.
  std::optional<std::uint64_t> serial;  // The guest whose payload it hears.
  std::vector<std::uint64_t> guests;    // That have heard of it.
  std::uint32_t log_lines = 0;
  std::string word;  // In its line of the log: why it has failed.
  bool judged = false;
};

class RelayLedger {
 public:
  std::deque<RelayClientRecord> clients;  // By number.
  std::deque<RelayGuest> guests;          // By serial number.
  std::uint8_t send_proxy = 0;
  bool servers_leave = false;  // They refuse, reset or are silent.
  bool limits = false;         // Connections may have to wait, or be turned away.
  bool checks = false;         // Servers may be called down.
  std::uint64_t tcp_lines = 0;

  // The client that weir has to introduce with this text.
  [[nodiscard]] RelayClientRecord* introduced_by(std::string_view text) {
    for (RelayClientRecord& each : clients) {
      if (each.begun_ns != 0 && introduction_of(each) == text) return &each;
    }
    return nullptr;
  }
  [[nodiscard]] RelayClientRecord* at_address(std::string_view address) {
    for (RelayClientRecord& each : clients) {
      if (each.begun_ns != 0 && each.address == address) return &each;
    }
    return nullptr;
  }
  [[nodiscard]] std::string introduction_of(const RelayClientRecord& client) const {
    return proxy_text(send_proxy, client.source, client.destination,
                      send_proxy == 2 ? client.tlvs : std::string_view());
  }
};

}  // namespace weir::sim
