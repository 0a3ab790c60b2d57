// What weir accepts on a connection, llhttp and http-parser accept too, and they see the same
// messages: as many, with the same method and target or status, and the same bodies. (The other way
// round is not wanted: weir is the strictest of the three.)
//
// Where they are known to differ, and why that is no fault of weir's, is said in loses_track() and
// excuse(); there is no other exception.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "http/scan.h"
#include "oracle.h"

namespace {

using namespace weir;

constexpr std::string_view kLlhttp = "llhttp";
constexpr std::string_view kHttpParser = "http-parser";

struct Comparison {
  std::string_view name;  // Of the oracle.
  std::string_view bytes;
  const fuzz::Reading& reading;
  const fuzz::Opinion& oracle;
};

bool begins_with(std::string_view name, std::string_view lower_name) {
  return http::scan::equals_lower(name.substr(0, lower_name.size()), lower_name);
}

// A field whose name begins like framing and then goes on.
bool is_nearly_framing(const fuzz::Line& line) {
  constexpr std::string_view kName = "transfer-encoding";
  return line.name.size() > kName.size() && begins_with(line.name, kName);
}

bool is_proxy_connection(const fuzz::Line& line) {
  return http::scan::equals_lower(line.name, "proxy-connection");
}

// A field that says where a message or a connection ends.
bool is_about_ends(const fuzz::Line& line) {
  return begins_with(line.name, "transfer-encoding") || begins_with(line.name, "content-length") ||
         begins_with(line.name, "connection") || is_proxy_connection(line);
}

bool has_tab_behind_coding(std::string_view bytes) {
  constexpr std::string_view kCoding = "chunked";
  for (std::size_t i = bytes.find('\t'); i != bytes.npos; i = bytes.find('\t', i + 1)) {
    const std::string_view before = http::scan::trim(bytes.substr(0, i));
    if (begins_with(before.substr(before.size() - std::min(before.size(), kCoding.size())),
                    kCoding)) {
      return true;
    }
  }
  return false;
}

// Why the oracle cannot be asked about this message and what follows; empty when it can.
std::string_view loses_track(const Comparison& c, const fuzz::Message& message) {
  const bool chunked = message.framing.kind == http::BodyFraming::Kind::chunked;
  if (chunked && has_tab_behind_coding(c.bytes)) {
    return "both take a tab behind the coding for a part of it; no blank is one (RFC 9110 5.5)";
  }
  if (std::ranges::any_of(message.trailers, is_about_ends)) {
    return "both read trailers as if they belonged to the head (RFC 9110 6.5.1)";
  }
  if (std::ranges::any_of(message.fields, is_proxy_connection)) {
    return "both take it for Connection; it means nothing (RFC 9112 C.2.2)";
  }
  if (c.name == kHttpParser && std::ranges::any_of(message.fields, is_nearly_framing)) {
    return "it takes every name that begins with Transfer-Encoding for that field";
  }
  return {};
}

// Why its refusal of this message says nothing against weir; empty when it does.
std::string_view excuse(const Comparison& c, const fuzz::Message& message) {
  const std::string_view refusal = c.oracle.refusal;
  if (refusal == "HPE_INVALID_METHOD" && http::method_id(message.first) == http::MethodId::other) {
    return "both have a list of methods; any token is one (RFC 9110 9.1)";
  }
  if (refusal == "HPE_INVALID_VERSION" && message.version > "HTTP/1.1") {
    return "a higher minor version is to be read as one that is known (RFC 9110 2.5)";
  }
  if (refusal == "HPE_INVALID_CONTENT_LENGTH" && c.bytes.find('\t') != c.bytes.npos) {
    return "nor is a tab behind the digits a part of the value (RFC 9110 5.5)";
  }
  const bool about_chunk_line = refusal == "HPE_STRICT" || refusal == "HPE_INVALID_CHUNK_SIZE";
  if (about_chunk_line && message.framing.kind == http::BodyFraming::Kind::chunked &&
      c.bytes.find(';') != c.bytes.npos) {
    return "llhttp knows no blank in front of a chunk extension, no quoted pair, no odd byte in "
           "one; weir only looks for its end, and drops it (RFC 9112 7.1.1)";
  }
  return {};
}

// How the oracle reads one message differently; empty when it does not.
std::string difference(const fuzz::Message& ours, const fuzz::OracleMessage& theirs) {
  if (!theirs.complete) return "sees no end";
  if (theirs.first != ours.first) return "sees " + theirs.first;
  if (!theirs.second.empty() && theirs.second != ours.second) return "sees target " + theirs.second;
  if (theirs.body != ours.body) return "sees the body '" + theirs.body + "'";
  return {};
}

// Message by message, as far as the oracle can follow.
std::string disagreement(const Comparison& c) {
  for (std::size_t i = 0; i < c.reading.complete; ++i) {
    const fuzz::Message& ours = c.reading.messages[i];
    if (!loses_track(c, ours).empty()) return {};
    const std::string what =
        i < c.oracle.messages.size() ? difference(ours, c.oracle.messages[i]) : "does not see it";
    if (what.empty()) continue;
    return excuse(c, ours).empty() ? what : std::string();
  }
  if (c.oracle.messages.size() > c.reading.complete) return "sees one more";
  return c.oracle.refusal.empty() ? "" : "refuses the end";
}

void compare(const Comparison& c) {
  const std::string what = disagreement(c);
  if (what.empty()) return;
  std::fprintf(stderr, "%s %s %s\n", c.name.data(), what.c_str(), c.oracle.refusal.c_str());
  std::abort();
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using http::HeadParser;
  fuzz::Input input(data, size);
  const auto mode = input.flag() ? HeadParser::Mode::response : HeadParser::Mode::request;
  const auto options = fuzz::take_reader_options(input, mode);
  const auto sizes = fuzz::take_piece_sizes(input);
  const fuzz::Reading reading = fuzz::read(options, input.rest(), sizes);
  if (reading.complete == 0) return 0;
  const std::string_view accepted = input.rest().substr(0, reading.consumed);
  compare({kLlhttp, accepted, reading, fuzz::ask_llhttp(options, accepted)});
  compare({kHttpParser, accepted, reading, fuzz::ask_http_parser(options, accepted)});
  return 0;
}
