// The bytes of scripted messages, well-formed or broken as their script says.

#include <algorithm>
#include <cstdio>

#include "sim/world/script.h"

namespace weir::sim {
namespace {

// A broken head, as the start line and the fields that make it so. Everything else is in order.
struct Damage {
  std::string start_end = " HTTP/1.1\r\n";
  std::string fields;
};

Damage damage_of(const RequestScript& request) {
  switch (request.hostile) {
    case Hostile::two_lengths:
      return {" HTTP/1.1\r\n", "Content-Length: 5\r\ncontent-length: 6\r\n"};
    case Hostile::length_and_chunked:
      return {" HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"};
    case Hostile::negative_length: return {" HTTP/1.1\r\n", "Content-Length: -1\r\n"};
    case Hostile::listed_length: return {" HTTP/1.1\r\n", "Content-Length: 5, 5\r\n"};
    case Hostile::unknown_coding: return {" HTTP/1.1\r\n", "Transfer-Encoding: xchunked\r\n"};
    case Hostile::chunked_twice:
      return {" HTTP/1.1\r\n", "Transfer-Encoding: chunked, chunked\r\n"};
    case Hostile::chunked_in_http10: return {" HTTP/1.0\r\n", "Transfer-Encoding: chunked\r\n"};
    case Hostile::bare_lf: return {" HTTP/1.1\r\n", "X-A: b\nX-C: d\r\n"};
    case Hostile::bare_cr: return {" HTTP/1.1\r\n", "X-A: b\rX-C: d\r\n"};
    case Hostile::zero_byte: return {" HTTP/1.1\r\n", std::string("X-A: b\0c\r\n", 10)};
    case Hostile::blank_before_colon: return {" HTTP/1.1\r\n", "Content-Length : 5\r\n"};
    case Hostile::folded_field: return {" HTTP/1.1\r\n", "X-A: b\r\n c\r\n"};
    case Hostile::two_hosts: return {" HTTP/1.1\r\n", "Host: other.test\r\n"};
    case Hostile::bad_version: return {" HTTP/1,1\r\n", ""};
    case Hostile::bad_target: return {"\x01 HTTP/1.1\r\n", ""};
    case Hostile::blank_in_target: return {" x HTTP/1.1\r\n", ""};
    case Hostile::endless_head: return {" HTTP/1.1\r\n", "X-Long: " + std::string(70'000, 'a')};
    default: return {request.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n", ""};
  }
}

std::string connection_fields(const RequestScript& request) {
  std::string options;
  if (!request.keep_alive) options = "close";
  if (request.keep_alive && request.http10) options = "keep-alive";
  if (request.upgrade) options += options.empty() ? "Upgrade, HTTP2-Settings" : ", upgrade";
  std::string text = options.empty() ? "" : "Connection: " + options + "\r\n";
  if (request.upgrade) text += "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
  return text;
}

std::string hexadecimal(std::uint64_t value) {
  char text[20];
  const int size = std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return {text, static_cast<std::size_t>(size)};
}

constexpr std::uint64_t kPieceBytes = 16 * 1024;

}  // namespace

bool RequestScript::idempotent() const {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE" || method == "TRACE";
}

std::string RequestScript::target() const {
  return (routed ? "/r/" : "/nowhere/") + to_text(id) + (seed % 3 == 0 ? "?a=%20b&c=/../d" : "");
}

std::string RequestScript::head() const {
  if (hostile == Hostile::junk) return std::string("\x16\x03\x01\x02\r\n\r\n") + to_text(id);
  const Damage damage = damage_of(*this);
  std::string text = method + " " + (absolute ? "http://app.test" : "") + target();
  text += damage.start_end;
  if (hostile != Hostile::no_host) text += "Host: app.test\r\n";
  text += "X-Id: " + to_text(id) + "\r\n" + damage.fields;
  if (padding > 0) text += "X-Padding: " + std::string(padding, 'p') + "\r\n";
  if (framing == Framing::length) text += "Content-Length: " + std::to_string(body_bytes) + "\r\n";
  if (framing == Framing::chunked) text += "Transfer-Encoding: chunked\r\n";
  if (expect != Expect::none) text += "Expect: 100-continue\r\n";
  text += "X-Urgency: " + std::to_string(seed / 3 % 5) + "\r\n";  // 4 means nothing.
  if (ends_here) text += "Max-Forwards: 0\r\n";
  return text + connection_fields(*this) + "\r\n";
}

std::string AnswerScript::interim(std::uint32_t number) const {
  return number % 3 == 0 ? "HTTP/1.1 100 Continue\r\n\r\n"
                         : "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
}

std::string AnswerScript::surplus(std::uint64_t serial) {
  return "HTTP/1.1 200 Surplus\r\nX-Surplus: " + std::to_string(serial) +
         "\r\nContent-Length: 0\r\n\r\n";
}

std::string AnswerScript::head(std::uint64_t serial, RequestId id) const {
  if (breaks == Break::switching) {
    return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
  }
  std::string text =
      breaks == Break::bad_status_line
          ? "HTTP/1.1 2000 Very Fine\r\n"
          : std::string(http10 ? "HTTP/1.0 " : "HTTP/1.1 ") + std::to_string(status) + " Said\r\n";
  text += "X-Answer: " + std::to_string(serial) + "\r\nX-Id: " + to_text(id) + "\r\n";
  if (breaks == Break::endless_head) text += "X-Long: " + std::string(70'000, 'a');
  if (breaks == Break::two_lengths) text += "Content-Length: 1\r\nContent-Length: 2\r\n";
  const bool framed = status != 204 && breaks != Break::two_lengths;
  if (framed && framing == Framing::length) {
    text += "Content-Length: " + std::to_string(body_bytes) + "\r\n";
  }
  if (framed && framing == Framing::chunked) text += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive) text += "Connection: close\r\n";
  if (keep_alive && http10) text += "Connection: keep-alive\r\n";
  if (keep_alive && seed % 5 == 0) text += "Keep-Alive: timeout=3, max=100\r\n";
  return text + "\r\n";
}

BodyWriter::BodyWriter(Framing framing, std::uint64_t bytes, Stream stream, std::uint64_t seed,
                       bool trailers, Hostile hostile)
    : framing_(framing),
      left_(bytes),
      stream_(stream),
      prng_(mix(seed, 4)),
      trailers_(trailers),
      hostile_(hostile),
      done_(framing == Framing::none || (bytes == 0 && framing != Framing::chunked)) {}

void BodyWriter::append_data(std::string& out, std::uint64_t size) {
  const std::size_t begin = out.size();
  out.resize(begin + size);
  stream_.fill(at_, std::span(out).subspan(begin));
  at_ += size;
  left_ -= size;
}

void BodyWriter::produce(std::string& out) {
  if (done_) return;
  if (framing_ == Framing::chunked) {
    produce_chunk(out);
    return;
  }
  append_data(out, std::min(left_, kPieceBytes));
  done_ = left_ == 0;
}

// Few enough that all of them together are within anybody's bound.
std::string_view BodyWriter::extension() {
  if (extensions_left_ == 0 || prng_.bounded(8) != 0) return "";
  --extensions_left_;
  return ";a=b;c=\"d e\"";
}

// Chunks of any size; the damage of a hostile body is in its first or last one.
void BodyWriter::produce_chunk(std::string& out) {
  const std::uint64_t most = std::uint64_t{1} << prng_.bounded(15);
  const std::uint64_t size = std::min(left_, 1 + prng_.bounded(most));
  const char* end = hostile_ == Hostile::bare_lf_in_chunk ? "\n" : "\r\n";
  if (hostile_ == Hostile::bad_chunk_size && at_ > 0) {
    out += "0x";
    hostile_ = Hostile::none;
  }
  if (hostile_ == Hostile::huge_chunk_size) {
    out += "ffffffffffffffff";
    done_ = true;
  }
  if (size == 0 && hostile_ == Hostile::bad_chunk_size) out += "+";
  out += hexadecimal(size);
  out += extension();
  out += end;
  if (size > 0) {
    append_data(out, size);
    if (hostile_ == Hostile::long_chunk && left_ == 0) out += "surplus";
    out += "\r\n";
    return;
  }
  if (hostile_ == Hostile::folded_trailer) out += "X-T: a\r\n b\r\n";
  if (trailers_) out += "X-Trailer: t\r\nContent-Length: 7\r\n";
  out += "\r\n";
  done_ = true;
}

}  // namespace weir::sim
