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

// Copies a head, but for the lines that are left out or replaced. What stays between two of those
// is one piece.
class HeadCopier {
 public:
  HeadCopier(char* out, std::size_t room, const HeadParser& head)
      : head_(head), out_(out, room), from_(head.start_at()) {}

  // The texts in place of the bytes from offset `at` to `end`, which lie behind all replaced
  // before.
  template <typename... Texts>
  void replace(std::size_t at, std::size_t end, const Texts&... texts) {
    out_.put_all(std::string_view(head_.base() + from_, at - from_), texts...);
    from_ = end;
  }

  // The texts in place of a field line; none leave it out.
  template <typename... Texts>
  void replace(const Field& field, const Texts&... texts) {
    const bool last = &field == &head_.fields().back();
    replace(field.name.at, last ? fields_end() : (&field)[1].name.at, texts...);
  }

  // A field line that stays, made canonical.
  void keep(const Field& field) {
    if (field.canonical) return;
    const std::string_view value = head_.value(field);
    replace(field, head_.name(field), std::string_view(value.empty() ? ":" : ": "), value, "\r\n");
  }

  // The rest of the field lines. Only put() may follow.
  void end_fields() { replace(fields_end(), fields_end()); }

  template <typename... Texts>
  void put(const Texts&... texts) {
    out_.put_all(texts...);
  }

  [[nodiscard]] const HeadParser& head() const { return head_; }
  [[nodiscard]] std::size_t finish() const { return out_.finish(); }

 private:
  [[nodiscard]] std::size_t fields_end() const { return head_.head_bytes() - kEndBytes; }

  static constexpr std::size_t kEndBytes = 2;  // The empty line.

  const HeadParser& head_;
  Output out_;
  std::size_t from_;  // First byte that is neither copied nor replaced.
};

template <std::size_t kBytes>
[[gnu::noinline]] void replace_by_number(HeadCopier& lines, const Field& field,
                                         const char (&name_and_colon)[kBytes],
                                         std::uint64_t number) {
  char digits[kDecimalDigitsMax];
  lines.replace(field, name_and_colon, std::string_view(digits, write_decimal(digits, number)),
                "\r\n");
}

// The framing line that states the decision: the received one when it is that, byte for byte.
inline void keep_length(HeadCopier& lines, const Field& field, std::uint64_t length) {
  const std::string_view digits = lines.head().value(field);
  if (field.canonical && (digits.front() != '0' || digits.size() == 1)) return;
  replace_by_number(lines, field, "Content-Length: ", length);
}

void keep_chunked(HeadCopier& lines, const Field& field) {
  if (field.canonical && lines.head().value(field) == "chunked") return;
  lines.replace(field, "Transfer-Encoding: chunked\r\n");
}

void write_request_line(HeadCopier& lines, const RequestInfo& info) {
  const HeadParser& head = lines.head();
  if (info.form == TargetForm::origin && head.start_line_canonical()) return;
  const std::string_view target =
      info.form == TargetForm::asterisk ? std::string_view("*") : head.view(info.target);
  lines.replace(head.start_at(), head.fields_at(), head.method(),
                std::string_view(info.slash_first ? " /" : " "), target, " HTTP/1.1\r\n");
}

// RFC 9110 7.2: Host first, and from the absolute form when there was one (RFC 9112 3.2.2). A
// request in HTTP/1.1 has one always: without an authority it is empty (RFC 9112 3.2). Returns how
// many field lines are done with.
std::size_t write_host(HeadCopier& lines, const RequestInfo& info, std::string_view default_host) {
  const HeadParser& head = lines.head();
  const auto fields = head.fields();
  const bool named = info.authority.size != 0;
  // Only Host's own value lies where the authority does.
  if (named && !fields.empty() && fields[0].canonical && fields[0].value == info.authority) {
    return 1;
  }
  const std::string_view host = named ? head.view(info.authority) : default_host;
  lines.replace(head.fields_at(), head.fields_at(),
                std::string_view(host.empty() ? "Host:" : "Host: "), host, "\r\n");
  return 0;
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

// What most lines are: to be kept, and written as weir writes them. `special`: fields of which more
// has to be asked.
bool stays(const Field& field, FieldSet special, bool some_nominated) {
  return field.canonical && !special.contains(field.id) && !some_nominated;
}

void copy_request_fields(HeadCopier& lines, const RequestInfo& info, FieldSet drop,
                         std::size_t first) {
  constexpr FieldSet kRewritten(FieldId::content_length, FieldId::transfer_encoding,
                                FieldId::max_forwards);
  const FieldSet special = drop | kRewritten;
  const bool some_nominated = !info.nominated.empty();
  const auto fields = lines.head().fields();
  for (std::size_t i = first; i < fields.size(); ++i) {
    const Field& field = fields[i];
    if (stays(field, special, some_nominated)) continue;
    if (drop.contains(field.id) || info.nominated.contains(i)) {
      lines.replace(field);
    } else if (!kRewritten.contains(field.id)) {
      lines.keep(field);
    } else if (field.id == FieldId::content_length) {
      keep_length(lines, field, info.body.length);
    } else if (field.id == FieldId::transfer_encoding) {
      keep_chunked(lines, field);
    } else if (info.max_forwards > 0) {
      const auto hops = static_cast<std::uint64_t>(info.max_forwards) - 1;
      replace_by_number(lines, field, "Max-Forwards: ", hops);
    } else {
      lines.keep(field);  // Means something in TRACE and OPTIONS only.
    }
  }
  lines.end_fields();
}

// Whether what the client says about earlier hops counts.
bool says(const HeadParser& head, const ForwardOptions& options, FieldId id) {
  return options.trusted && head.present().contains(id);
}

// The values that the client sent for a line that has been opened, each followed by a comma.
void put_earlier(HeadCopier& lines, FieldId id) {
  for (const Field& field : lines.head().fields()) {
    if (field.id == id && field.value.size != 0) lines.put(lines.head().value(field), ", ");
  }
}

void write_x_forwarded(HeadCopier& lines, const RequestInfo& info, const ForwardOptions& options) {
  const HeadParser& head = lines.head();
  if (!options.client_ip.empty()) {
    lines.put("X-Forwarded-For: ");
    if (says(head, options, FieldId::x_forwarded_for)) put_earlier(lines, FieldId::x_forwarded_for);
    lines.put(options.client_ip, "\r\n");
  }
  if (!says(head, options, FieldId::x_forwarded_proto)) {
    lines.put("X-Forwarded-Proto: ", options.proto, "\r\n");
  }
  if (!says(head, options, FieldId::x_forwarded_host) && info.authority.size != 0) {
    lines.put("X-Forwarded-Host: ", head.view(info.authority), "\r\n");
  }
}

// RFC 7239 4 and 6: an IPv6 address in brackets and quotes, "unknown" for a peer without address.
void write_forwarded(HeadCopier& lines, const RequestInfo& info, const ForwardOptions& options) {
  lines.put("Forwarded: ");
  if (says(lines.head(), options, FieldId::forwarded)) put_earlier(lines, FieldId::forwarded);
  const bool ipv6 = options.client_ip.find(':') != std::string_view::npos;
  lines.put(std::string_view(ipv6 ? "for=\"[" : "for="),
            options.client_ip.empty() ? std::string_view("unknown") : options.client_ip,
            std::string_view(ipv6 ? "]\";proto=" : ";proto="), options.proto);
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
  if (head.start_line_canonical()) return;
  char digits[kDecimalDigitsMax];
  lines.replace(head.start_at(), head.fields_at(), "HTTP/1.1 ",
                std::string_view(digits, write_decimal(digits, head.status_code())), " ",
                head.reason(), "\r\n");
}

// The fields that make a switch of protocols (RFC 9110 7.8): all that Upgrade names was offered, of
// Connection this one option is left. As the server wrote them where they can be.
void keep_switch(HeadCopier& lines, const Field& field, bool& option_written) {
  if (field.id == FieldId::upgrade) return lines.keep(field);
  if (option_written) return lines.replace(field);
  option_written = true;
  if (scan::equals_lower(lines.head().value(field), "upgrade")) return lines.keep(field);
  lines.replace(field, "Connection: upgrade\r\n");
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
  const FieldSet special = drop | kept | kFramingFields;
  const bool some_nominated = !info.nominated.empty();
  bool option_written = false;
  const auto fields = lines.head().fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    if (stays(field, special, some_nominated)) continue;
    if (kept.contains(field.id)) {
      keep_switch(lines, field, option_written);
    } else if (drop.contains(field.id) || info.nominated.contains(i)) {
      lines.replace(field);
    } else if (field.id == FieldId::content_length) {
      keep_length(lines, field, info.content_length);
    } else if (field.id == FieldId::transfer_encoding) {
      keep_chunked(lines, field);
    } else {
      lines.keep(field);
    }
  }
  lines.end_fields();
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
  HeadCopier lines(out, room, head);
  write_request_line(lines, info);
  const std::size_t done = write_host(lines, info, options.default_host);
  copy_request_fields(lines, info, dropped_from_request(info, options), done);
  if (options.x_forwarded) write_x_forwarded(lines, info, options);
  if (options.forwarded) write_forwarded(lines, info, options);
  if (options.via) write_via(lines);
  if (!options.upgrade.empty()) {
    lines.put("Connection: upgrade\r\nUpgrade: ", options.upgrade, "\r\n");
  }
  lines.put("\r\n");
  return lines.finish();
}

std::size_t write_response_head(char* out, std::size_t room, const HeadParser& head,
                                const ResponseInfo& info, const ResponseOptions& options) {
  HeadCopier lines(out, room, head);
  const bool chunked = options.chunked && info.body.kind != BodyFraming::Kind::none;
  write_status_line(lines);
  copy_response_fields(lines, info, chunked);
  if (!info.interim) {
    if (!info.switches) write_persistence(lines, info, options);
    lines.put(options.set_cookie);
    if (options.via) write_via(lines);
  }
  lines.put("\r\n");
  return lines.finish();
}

// RFC 9110 6.5.1: framing, routing, request modifiers, authentication, response control and content
// fields must not be read from trailers. FieldId knows all of those, so what it does not know may
// pass.
std::size_t write_trailers(char* out, std::size_t room, const HeadParser& trailers) {
  HeadCopier lines(out, room, trailers);
  for (const Field& field : trailers.fields()) {
    if (field.id == FieldId::other) {
      lines.keep(field);
    } else {
      lines.replace(field);
    }
  }
  lines.end_fields();
  lines.put("\r\n");
  return lines.finish();
}

}  // namespace weir::http
