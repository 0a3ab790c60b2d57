// Connection (RFC 9110 7.6.1): what the sender wants of this connection, and which fields it
// declares to be meant for this connection only.
#pragma once

#include <array>
#include <cstdint>

#include "http/head_parser.h"

namespace weir::http {

// More options than this in one message are refused. Real messages have one to three; without a
// bound, options times fields would be a way to burn processor time.
inline constexpr unsigned kConnectionOptionsMax = 32;

// A set of field indices of one head.
class FieldIndexSet {
 public:
  void insert(std::size_t index) { words_[index / 64] |= std::uint64_t{1} << (index % 64); }
  [[nodiscard]] bool contains(std::size_t index) const {
    return ((words_[index / 64] >> (index % 64)) & 1) != 0;
  }
  [[nodiscard]] bool empty() const { return (words_[0] | words_[1]) == 0; }

 private:
  std::array<std::uint64_t, kFieldsMax / 64> words_ = {};
};

struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  // Fields named by an option. Never Host, Content-Length, Transfer-Encoding, Expect,
  // Cache-Control, Via, Forwarded or X-Forwarded-*: a client could otherwise remove what others
  // rely on.
  FieldIndexSet nominated;
};

// Collects all Connection lines into `out`; `none`, or too_many_connection_options.
[[nodiscard]] ParseError read_connection_lines(const HeadParser& head, ConnectionOptions& out);

// The same of a head that may have none.
[[nodiscard]] inline ParseError read_connection_options(const HeadParser& head,
                                                        ConnectionOptions& out) {
  if (!head.present().contains(FieldId::connection)) return ParseError::none;
  return read_connection_lines(head, out);
}

}  // namespace weir::http
