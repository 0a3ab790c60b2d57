// What must hold of any head that weir writes from one it has read: it fits into the promised room,
// it is read again as one whole head, every line of it is canonical, nothing in it is for one
// connection only, and the fields that weir has no opinion about are all there, in order.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/list.h"
#include "http/writer.h"
#include "input.h"

namespace weir::fuzz {

// A head in a block of its own, parsed.
class Head {
 public:
  Head(http::HeadParser::Mode mode, std::string_view bytes, const http::HeadLimits& limits = {})
      : block_(exact_block(bytes)) {
    parser_.begin(mode, limits);
    complete_ = parser_.parse(block_.get(), bytes.size()) == http::ParseStatus::complete;
  }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] const http::HeadParser& parser() const { return parser_; }

 private:
  std::unique_ptr<char[]> block_;
  http::HeadParser parser_;
  bool complete_;
};

// For reading what was written: the lines that weir adds must not meet the limits of a peer.
inline constexpr http::HeadLimits kWideLimits = {http::kHeadBytesMax, http::kHeadBytesMax,
                                                 http::kFieldsMax};

// Fields for one connection (RFC 9110 7.6.1) and between a client and its proxy (11.7).
inline constexpr http::FieldSet kNeverPassed(http::FieldId::connection, http::FieldId::keep_alive,
                                             http::FieldId::proxy_connection, http::FieldId::te,
                                             http::FieldId::upgrade, http::FieldId::http2_settings,
                                             http::FieldId::proxy_authenticate,
                                             http::FieldId::proxy_authentication_info,
                                             http::FieldId::proxy_authorization);

// Fields that weir writes, rewrites or drops for a reason of its own.
inline constexpr http::FieldSet kRewritten(
    http::FieldId::host, http::FieldId::content_length, http::FieldId::transfer_encoding,
    http::FieldId::expect, http::FieldId::trailer, http::FieldId::max_forwards, http::FieldId::via,
    http::FieldId::date, http::FieldId::forwarded, http::FieldId::x_forwarded_for,
    http::FieldId::x_forwarded_proto, http::FieldId::x_forwarded_host,
    http::FieldId::x_forwarded_other, http::FieldId::x_real_ip);

inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& byte : out) byte = http::scan::lower(byte);
  return out;
}

// All that Connection names, in lower case.
inline std::set<std::string> connection_options(const http::HeadParser& head) {
  std::set<std::string> names;
  for (const http::Field& field : head.fields()) {
    if (field.id != http::FieldId::connection) continue;
    std::string_view rest = head.value(field);
    do names.insert(lower(http::next_element(rest)));
    while (rest.data() != nullptr);
  }
  names.erase("cache-control");  // Never to be named away, because others rely on it.
  names.erase("close");          // A field of this name cannot be meant.
  return names;
}

// The lines that have to come out as they went in.
inline std::vector<std::string> passed_lines(const http::HeadParser& head) {
  const std::set<std::string> options = connection_options(head);
  std::vector<std::string> lines;
  for (const http::Field& field : head.fields()) {
    if (kNeverPassed.contains(field.id) || kRewritten.contains(field.id)) continue;
    if (options.contains(lower(head.name(field)))) continue;
    lines.push_back(std::string(head.name(field)) + ": " + std::string(head.value(field)));
  }
  return lines;
}

// The output in exactly its room; a byte less is refused, and the promised room does.
inline std::string write_checked(const http::HeadParser& head,
                                 const std::function<std::size_t(char*, std::size_t)>& write) {
  std::string out(head.head_bytes() + http::kWriteExtraMax, '\0');
  out.resize(write(out.data(), out.size()));
  CHECK(!out.empty(), "the promised room is too small");
  const auto block = std::make_unique<char[]>(out.size());
  CHECK(write(block.get(), out.size()) == out.size());
  CHECK(std::string_view(block.get(), out.size()) == out);
  const auto small = std::make_unique<char[]>(out.size() - 1);
  CHECK(write(small.get(), out.size() - 1) == 0);
  return out;
}

inline void check_canonical(const Head& again, std::size_t written_bytes) {
  CHECK(again.complete(), "what was written is refused");
  CHECK(again.parser().head_bytes() == written_bytes, "the head ends early");
  for (const http::Field& field : again.parser().fields()) CHECK(field.canonical);
}

}  // namespace weir::fuzz
