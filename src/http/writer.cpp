#include "http/writer.h"

#include "http/output.h"
#include "http/status.h"

namespace weir::http {
namespace {

// RFC 9110 7.6.1, and TE because weir does not act on it. The credentials and challenges of 11.7
// are between a client and its proxy: weir asks for none, and a server must not pose as one.
constexpr FieldSet kHopByHop(FieldId::connection, FieldId::keep_alive, FieldId::proxy_connection,
                             FieldId::te, FieldId::upgrade, FieldId::http2_settings,
                             FieldId::proxy_authenticate, FieldId::proxy_authentication_info,
                             FieldId::proxy_authorization);

// What a client may only say about itself when it is trusted. X-Real-IP is the same claim under
// another name.
constexpr FieldSet kForwardingClaims(FieldId::forwarded, FieldId::x_forwarded_for,
                                     FieldId::x_forwarded_proto, FieldId::x_forwarded_host,
                                     FieldId::x_forwarded_other, FieldId::x_real_ip);

// Copies parts of a head, neighbours in one piece.
class HeadCopier {
 public:
  HeadCopier(const HeadParser& head, Output& out) : head_(head), out_(out) {}

  // The bytes from offset `at` to `end`.
  void copy(std::size_t at, std::size_t end) {
    if (at != end_) {
      flush();
      at_ = at;
    }
    end_ = end;
  }

  // One field line, made canonical.
  void copy(const Field& field) {
    if (field.canonical) return copy(field.name.at, field.line_end());
    const std::string_view value = head_.value(field);
    put(head_.name(field), std::string_view(value.empty() ? ":" : ": "), value, "\r\n");
  }

  // New text after everything copied so far.
  template <typename... Texts>
  void put(const Texts&... texts) {
    flush();
    out_.put_all(texts...);
  }

  void flush() {
    if (at_ == end_) return;
    out_.put(std::string_view(head_.base() + at_, end_ - at_));
    at_ = end_ = 0;
  }

  [[nodiscard]] const HeadParser& head() const { return head_; }
  [[nodiscard]] Output& output() { return out_; }

 private:
  const HeadParser& head_;
  Output& out_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

template <std::size_t kBytes>
void put_number_line(HeadCopier& lines, const char (&name_and_colon)[kBytes],
                     std::uint64_t number) {
  lines.put(name_and_colon);
  lines.output().put_number(number);
  lines.put("\r\n");
}

// The framing line that states the decision: the received one when it is that, byte for byte.
void copy_length(HeadCopier& lines, const Field& field, std::uint64_t length) {
  const std::string_view digits = lines.head().value(field);
  if (field.canonical && (digits.front() != '0' || digits.size() == 1)) return lines.copy(field);
  put_number_line(lines, "Content-Length: ", length);
}

void copy_chunked(HeadCopier& lines, const Field& field) {
  if (field.canonical && lines.head().value(field) == "chunked") return lines.copy(field);
  lines.put("Transfer-Encoding: chunked\r\n");
}

void write_request_line(HeadCopier& lines, const RequestInfo& info) {
  const HeadParser& head = lines.head();
  if (info.form == TargetForm::origin && head.start_line_canonical()) {
    return lines.copy(head.start_at(), head.fields_at());
  }
  const bool asterisk = info.form == TargetForm::asterisk;
  lines.put(head.method(), info.slash_first ? " /" : " ", asterisk ? "*" : head.view(info.target),
            " HTTP/1.1\r\n");
}

// RFC 9110 7.2: Host first, and from the absolute form when there was one (RFC 9112 3.2.2). A
// request in HTTP/1.1 has one always: without an authority it is empty (RFC 9112 3.2).
void write_host(HeadCopier& lines, const RequestInfo& info, std::string_view default_host) {
  if (info.authority.size == 0) {
    lines.put(std::string_view(default_host.empty() ? "Host:" : "Host: "), default_host, "\r\n");
    return;
  }
  const HeadParser& head = lines.head();
  const auto fields = head.fields();
  if (!fields.empty() && fields[0].canonical && fields[0].value == info.authority) {
    return lines.copy(fields[0]);  // Only Host's own value lies where the authority does.
  }
  lines.put("Host: ", head.view(info.authority), "\r\n");
}

// Fields of the request that are not copied; the forwarding fields that weir continues are written
// after the others.
FieldSet dropped_from_request(const RequestInfo& info, const ForwardOptions& options) {
  FieldSet drop = kHopByHop | FieldSet(FieldId::host);
  if (!info.expects_continue) drop.insert(FieldId::expect);
  if (info.body.kind != BodyFraming::Kind::chunked) drop.insert(FieldId::trailer);
  if (!options.trusted) return drop | kForwardingClaims;
  if (options.x_forwarded && !options.client_ip.empty()) drop.insert(FieldId::x_forwarded_for);
  if (options.forwarded) drop.insert(FieldId::forwarded);
  return drop;
}

void copy_request_fields(HeadCopier& lines, const RequestInfo& info, FieldSet drop) {
  constexpr FieldSet kRewritten(FieldId::content_length, FieldId::transfer_encoding,
                                FieldId::max_forwards);
  const auto fields = lines.head().fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    if (drop.contains(field.id) || info.nominated.contains(i)) continue;
    if (!kRewritten.contains(field.id)) {
      lines.copy(field);
    } else if (field.id == FieldId::content_length) {
      copy_length(lines, field, info.body.length);
    } else if (field.id == FieldId::transfer_encoding) {
      copy_chunked(lines, field);
    } else if (info.max_forwards > 0) {
      put_number_line(lines, "Max-Forwards: ", static_cast<std::uint64_t>(info.max_forwards) - 1);
    } else {
      lines.copy(field);  // Means something in TRACE and OPTIONS only.
    }
  }
}

// The values that a trusted client sent for a line that has been opened, each followed by a comma.
void put_earlier(HeadCopier& lines, FieldId id, bool trusted) {
  const HeadParser& head = lines.head();
  if (!trusted || !head.present().contains(id)) return;
  for (const Field& field : head.fields()) {
    if (field.id == id && field.value.size != 0) lines.put(head.value(field), ", ");
  }
}

void write_x_forwarded(HeadCopier& lines, const RequestInfo& info, const ForwardOptions& options) {
  const HeadParser& head = lines.head();
  const auto says = [&](FieldId id) { return options.trusted && head.present().contains(id); };
  if (!options.client_ip.empty()) {
    lines.put("X-Forwarded-For: ");
    put_earlier(lines, FieldId::x_forwarded_for, options.trusted);
    lines.put(options.client_ip, "\r\n");
  }
  if (!says(FieldId::x_forwarded_proto)) {
    lines.put("X-Forwarded-Proto: ", options.proto, "\r\n");
  }
  if (!says(FieldId::x_forwarded_host) && info.authority.size != 0) {
    lines.put("X-Forwarded-Host: ", head.view(info.authority), "\r\n");
  }
}

// RFC 7239 4 and 6: an IPv6 address in brackets and quotes, "unknown" for a peer without address.
void write_forwarded(HeadCopier& lines, const RequestInfo& info, const ForwardOptions& options) {
  lines.put("Forwarded: ");
  put_earlier(lines, FieldId::forwarded, options.trusted);
  const bool ipv6 = options.client_ip.find(':') != std::string_view::npos;
  lines.put(ipv6 ? "for=\"[" : "for=", options.client_ip.empty() ? "unknown" : options.client_ip,
            ipv6 ? "]\";proto=" : ";proto=", options.proto);
  // A valid host holds neither quotes nor backslashes.
  if (info.authority.size != 0) lines.put(";host=\"", lines.head().view(info.authority), "\"");
  lines.put("\r\n");
}

// RFC 9110 7.6.3: the version is the one that was received.
void write_via(HeadCopier& lines) {
  lines.put(lines.head().minor_version() == 0 ? "Via: 1.0 weir\r\n" : "Via: 1.1 weir\r\n");
}

bool keeps_length(const ResponseInfo& info, bool chunked) {
  // RFC 9110 8.6: never in 1xx and 204. For HEAD and 304 it speaks about the body not sent.
  return info.has_content_length && !chunked && !is_interim(info.status) && info.status != 204;
}

void write_status_line(HeadCopier& lines) {
  const HeadParser& head = lines.head();
  if (head.start_line_canonical()) return lines.copy(head.start_at(), head.fields_at());
  lines.put("HTTP/1.1 ");
  lines.output().put_number(head.status_code());
  lines.put(" ", head.reason(), "\r\n");
}

// The fields that make a switch of protocols (RFC 9110 7.8): all that Upgrade names was offered, of
// Connection this one option is left. As the server wrote them where they can be.
void copy_switch(HeadCopier& lines, const Field& field, bool& option_written) {
  if (field.id == FieldId::upgrade) return lines.copy(field);
  if (option_written) return;
  option_written = true;
  if (scan::equals_lower(lines.head().value(field), "upgrade")) return lines.copy(field);
  lines.put("Connection: upgrade\r\n");
}

// What is passed on of the two all the same. RFC 9110 15.5.22: a 426 must say to which protocols.
FieldSet kept_of_switch(const ResponseInfo& info) {
  if (info.switches) return FieldSet(FieldId::connection, FieldId::upgrade);
  return info.status == 426 ? FieldSet(FieldId::upgrade) : FieldSet();
}

void copy_response_fields(HeadCopier& lines, const ResponseInfo& info, bool chunked) {
  FieldSet drop = kHopByHop;
  if (!chunked) drop = drop | FieldSet(FieldId::trailer, FieldId::transfer_encoding);
  if (!keeps_length(info, chunked)) drop.insert(FieldId::content_length);
  const FieldSet kept = kept_of_switch(info);
  bool option_written = false;
  const auto fields = lines.head().fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    if (kept.contains(field.id)) copy_switch(lines, field, option_written);
    if (drop.contains(field.id) || info.nominated.contains(i)) continue;
    if (field.id == FieldId::content_length) {
      copy_length(lines, field, info.content_length);
    } else if (field.id == FieldId::transfer_encoding) {
      copy_chunked(lines, field);
    } else {
      lines.copy(field);
    }
  }
  const bool received = lines.head().present().contains(FieldId::transfer_encoding);
  if (chunked && !received) lines.put("Transfer-Encoding: chunked\r\n");
}

// RFC 9110 7.8: whoever sends Upgrade names it in Connection.
void write_upgrade_option(HeadCopier& lines, const ResponseOptions& options) {
  lines.put("Connection: upgrade");
  if (options.close) {
    lines.put(", close");
  } else if (options.keep_alive) {
    lines.put(", keep-alive");
  }
  lines.put("\r\n");
}

void write_persistence(HeadCopier& lines, const ResponseInfo& info,
                       const ResponseOptions& options) {
  if (info.status == 426 && lines.head().present().contains(FieldId::upgrade)) {
    write_upgrade_option(lines, options);
  } else if (options.close) {
    lines.put("Connection: close\r\n");
  } else if (options.keep_alive) {
    lines.put("Connection: keep-alive\r\n");
  }
  // RFC 9110 6.6.1: whoever forwards a response without Date adds one.
  if (!options.date.empty() && !lines.head().present().contains(FieldId::date)) {
    lines.put("Date: ", options.date, "\r\n");
  }
}

}  // namespace

std::size_t write_request_head(char* out, std::size_t room, const HeadParser& head,
                               const RequestInfo& info, const ForwardOptions& options) {
  Output output(out, room);
  HeadCopier lines(head, output);
  write_request_line(lines, info);
  write_host(lines, info, options.default_host);
  copy_request_fields(lines, info, dropped_from_request(info, options));
  if (options.x_forwarded) write_x_forwarded(lines, info, options);
  if (options.forwarded) write_forwarded(lines, info, options);
  if (options.via) write_via(lines);
  if (!options.upgrade.empty()) {
    lines.put("Connection: upgrade\r\nUpgrade: ", options.upgrade, "\r\n");
  }
  lines.put("\r\n");
  return output.finish();
}

std::size_t write_response_head(char* out, std::size_t room, const HeadParser& head,
                                const ResponseInfo& info, const ResponseOptions& options) {
  Output output(out, room);
  HeadCopier lines(head, output);
  const bool chunked = options.chunked && info.body.kind != BodyFraming::Kind::none;
  write_status_line(lines);
  copy_response_fields(lines, info, chunked);
  if (!info.interim) {
    if (!info.switches) write_persistence(lines, info, options);
    lines.put(options.set_cookie);
    if (options.via) write_via(lines);
  }
  lines.put("\r\n");
  return output.finish();
}

// RFC 9110 6.5.1: framing, routing, request modifiers, authentication, response control and content
// fields must not be read from trailers. FieldId knows all of those, so what it does not know may
// pass.
std::size_t write_trailers(char* out, std::size_t room, const HeadParser& trailers) {
  Output output(out, room);
  HeadCopier lines(trailers, output);
  for (const Field& field : trailers.fields()) {
    if (field.id == FieldId::other) lines.copy(field);
  }
  lines.put("\r\n");
  return output.finish();
}

}  // namespace weir::http
