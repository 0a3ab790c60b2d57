// What the two ends of relayed connections are going to do: of TCP listeners, of requests that ask
// for another protocol, and of CONNECT. Drawn from numbers of their own, so that a seed's requests
// are what they would be without them.
//
// Each end sends a payload: bytes that say whose they are, then a stream that only this end sends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "os/address.h"
#include "sim/world/script.h"

namespace weir::sim {

// How an end behaves once it may send.
struct EndScript {
  enum class Ending : std::uint8_t {
    half_close,  // FIN behind its last byte, then waits for the other's.
    wait,        // Waits for the other's FIN; closes when it has sent everything, too.
    close,       // Closes both ways behind its last byte, whatever still comes.
    reset,       // RST after `ending_at` bytes.
    stall,       // Sends nothing more after `ending_at` bytes.
    deaf,        // Reads nothing more after `ending_at` bytes.
  };
  std::uint64_t bytes = 0;  // Of its stream.
  std::uint64_t delay_ns = 0;
  Pace sending;
  Pace reading;
  Ending ending = Ending::half_close;
  std::uint64_t ending_at = UINT64_MAX;

  // It may send or provoke a RST.
  [[nodiscard]] bool breaks() const { return ending == Ending::close || ending == Ending::reset; }
  [[nodiscard]] bool reads_on() const { return ending != Ending::deaf && !reading.slow(); }
};

struct RelayScript {
  enum class Way : std::uint8_t {
    tcp,
    upgrade,  // GET with Upgrade.
    connect,
  };
  // The PROXY header it begins with.
  enum class Introduction : std::uint8_t {
    none,
    version_1,
    version_2,
    with_tlvs,
    local,      // Of version 2: the proxy's own connection.
    malformed,  // The rest are no valid ones.
    truncated,  // Nothing follows, or an end.
    missing,
    spoofed,  // Valid, but not from one who may send it.
  };
  enum class Hello : std::uint8_t {
    none,
    exact,  // A name that a route has, or that ends as one of a route.
    below,
    elsewhere,  // No route has it.
    nameless,
    broken,
  };
  std::uint32_t number = 0;
  std::uint64_t start_ns = 0;
  Way way = Way::tcp;
  Introduction introduction = Introduction::none;
  Hello hello = Hello::none;
  bool split = false;  // The hello is cut into many records.
  bool early = false;  // Bytes of the payload come right behind the request.
  EndScript end;

  [[nodiscard]] bool trusted() const {
    return introduction != Introduction::none && introduction != Introduction::spoofed;
  }
  [[nodiscard]] bool refused() const { return introduction >= Introduction::malformed; }
  [[nodiscard]] bool named_client() const {
    return introduction >= Introduction::version_1 && introduction <= Introduction::with_tlvs;
  }
  // The client it names.
  [[nodiscard]] os::Peer named() const;
  // What it sends ahead of everything else.
  [[nodiscard]] std::string introduction_text() const;
  // The head of its request; empty of TCP.
  [[nodiscard]] std::string request() const;
};

// What a run's relays are like. Some of it stays as it is through all reloads.
struct RelayManners {
  std::uint32_t clients = 0;  // 0: the run has no relays at all.
  std::uint32_t servers = 1;  // Of each backend.
  std::uint32_t breaking_percent = 0;
  std::uint32_t slow_percent = 0;
  std::uint64_t bytes_max = 0;
  std::uint8_t send_proxy = 0;
  bool accept_proxy = false;
  bool by_name = false;         // The TCP listener chooses by server name.
  bool default_backend = true;  // It has one for whom no name fits.
  bool plain = false;
};
[[nodiscard]] RelayManners draw_relay_manners(std::uint64_t seed);
// Of those who come when the storm is over.
[[nodiscard]] RelayManners calmed(const RelayManners& manners);
[[nodiscard]] RelayScript draw_relay(std::uint64_t seed, std::uint32_t number,
                                     const RelayManners& manners);
// The server's end of the connection that was accepted as number `serial`.
[[nodiscard]] EndScript draw_relay_server(std::uint64_t seed, std::uint64_t serial,
                                          const RelayManners& manners);

// "PROXY ..." or its binary form, as weir has to write it for this client. `tlvs`: of version 2.
[[nodiscard]] std::string proxy_text(unsigned version, const os::Peer& source,
                                     const os::Peer& destination, std::string_view tlvs);
// The same for a connection of weir's own.
[[nodiscard]] std::string local_introduction(unsigned version);
// Where clients that are named by a PROXY header have connected to.
[[nodiscard]] os::Peer named_destination();
[[nodiscard]] std::string_view relay_tlvs();

// All that one end sends.
class Payload {
 public:
  Payload() = default;
  Payload(std::string prefix, Stream stream, std::uint64_t bytes)
      : prefix_(std::move(prefix)), stream_(stream), size_(prefix_.size() + bytes) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }
  void append(std::uint64_t offset, std::size_t size, std::string& to) const;
  [[nodiscard]] bool matches(std::uint64_t offset, std::string_view bytes) const;

 private:
  std::string prefix_;
  Stream stream_{0};
  std::uint64_t size_ = 0;
};
// "C" and "S" with the number in eight hexadecimal digits.
inline constexpr std::size_t kMarkBytes = 9;
[[nodiscard]] std::string mark_text(char side, std::uint64_t number);
[[nodiscard]] std::optional<std::uint64_t> number_of_mark(char side, std::string_view text);
[[nodiscard]] Payload client_payload(std::uint64_t seed, const RelayScript& script);
[[nodiscard]] Payload server_payload(std::uint64_t seed, std::uint64_t serial, std::uint64_t bytes);

}  // namespace weir::sim
