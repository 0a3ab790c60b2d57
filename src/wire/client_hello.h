// ClientHelloPeek: reads the server name out of the beginning of a TLS connection, which stays
// encrypted: nothing is answered, decrypted or changed.
//
// The session keeps the bytes (they go to the chosen server) and shows all of them each time; the
// peek remembers how far the records have been walked, so a hello that comes byte by byte costs no
// more than a whole one. A message may be cut into any number of records (RFC 8446 5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::wire {

// A hello ends within this many bytes of the connection, record headers included. A post-quantum
// key share, a ticket and padding together stay below 4 KiB.
inline constexpr std::size_t kClientHelloMax = 16 * 1024;
inline constexpr std::size_t kServerNameMax = 253;  // A name of DNS, RFC 1035 2.3.4.

// In lower case, without a dot at its end; empty when none was sent.
struct ServerName {
  char text[kServerNameMax];
  std::uint8_t size = 0;

  [[nodiscard]] std::string_view view() const { return {text, size}; }
};

class ClientHelloPeek {
 public:
  enum class Status : std::uint8_t {
    need_more,
    found,      // The whole hello is there; its name may be empty.
    not_tls,    // No TLS handshake: another protocol.
    malformed,  // TLS, and not a ClientHello as RFC 8446 4.1.2 and RFC 6066 3 have it.
    too_large,
  };

  // `data`: all bytes of the connection so far. `name` is written when the status is found. After
  // any status but need_more the same bytes, with more behind them or not, give it again.
  //
  // A name is letters, digits, '-', '_' and single dots, labels of at most 63 bytes; another is
  // malformed. An IP address literal is no name (RFC 6066 3): it counts as none.
  [[nodiscard]] Status parse(std::string_view data, ServerName& name);

 private:
  // What they have found out; nothing when the walk goes on.
  using Verdict = std::optional<Status>;

  [[nodiscard]] Status walk(std::string_view data);
  [[nodiscard]] Verdict begin_record(std::string_view record);
  [[nodiscard]] Verdict take_header_byte(std::uint8_t byte);
  [[nodiscard]] bool is_too_large(std::size_t overhead, std::size_t size) const;

  std::uint32_t at_ = 0;           // Walked up to here.
  std::uint32_t record_left_ = 0;  // Bytes of the current record behind at_.
  std::uint32_t seen_ = 0;         // Bytes of the handshake message so far.
  std::uint32_t size_ = 0;         // Bytes of all of it, once its header of four was seen.
};

[[nodiscard]] std::string_view to_string(ClientHelloPeek::Status status);

}  // namespace weir::wire
