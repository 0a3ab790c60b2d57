// See reader.h.
#include "reader.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "http/framing.h"
#include "http/list.h"
#include "http/upgrade.h"

namespace weir::fuzz {
namespace {

using http::BodyFraming;
using http::HeadParser;
using http::ParseError;
using http::ParseStatus;

// Byte by byte takes quadratic time.
constexpr std::size_t kByteByByteMax = 600;

const std::array<std::string, 2> kUpgrades = {"websocket", "spdy"};

bool is_tchar(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_tchar);
}

bool is_value(std::string_view text) {
  const auto is_blank = [](char byte) { return byte == ' ' || byte == '\t'; };
  if (!text.empty() && (is_blank(text.front()) || is_blank(text.back()))) return false;
  return std::ranges::none_of(text, [](char byte) {
    return byte != '\t' && (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f);
  });
}

std::vector<Line> copy_fields(const HeadParser& head) {
  std::vector<Line> lines;
  for (const http::Field& field : head.fields()) {
    const Line line = {std::string(head.name(field)), std::string(head.value(field))};
    CHECK(is_token(line.name) && is_value(line.value));
    CHECK(head.present().contains(field.id));
    CHECK(field.line_end() <= head.head_bytes() || !field.canonical);
    if (field.canonical) {
      const std::string_view written(head.base() + field.name.at, field.line_end() - field.name.at);
      CHECK(written == line.name + (line.value.empty() ? ":" : ": ") + line.value + "\r\n");
    }
    lines.push_back(line);
  }
  return lines;
}

// RFC 9112 2: a head ends with the first empty line behind its start line, and has no other one.
void check_end(const HeadParser& head) {
  const std::string_view all(head.base(), head.head_bytes());
  const bool trailers = head.mode() == HeadParser::Mode::trailers;
  const std::size_t from = trailers ? 0 : head.fields_at() - 2;
  const std::size_t end =
      all.substr(0, 2) == "\r\n" && trailers ? 2 : all.find("\r\n\r\n", from) + 4;
  CHECK(end == all.size());
}

void check_limits(const HeadParser& head, const http::HeadLimits& limits) {
  CHECK(head.head_bytes() <= limits.head_bytes_max);
  CHECK(head.fields().size() <= limits.fields_max);
  check_end(head);
}

bool inside(http::Slice part, http::Slice whole) {
  return part.size == 0 || (part.at >= whole.at && part.end() <= whole.end());
}

std::string describe(bool keep_alive, bool http10, const BodyFraming& framing) {
  return std::to_string(static_cast<int>(framing.kind)) + " " + std::to_string(framing.length) +
         (http10 ? " HTTP/1.0" : "") + (keep_alive ? " keep-alive" : "");
}

// Only what is allowed, and only whole words.
void check_offer(std::string_view offer, bool made) {
  CHECK(made || offer.empty());
  while (!offer.empty()) {
    const std::string_view protocol = http::next_element(offer);
    const std::string_view name = protocol.substr(0, protocol.find('/'));
    CHECK(std::ranges::any_of(kUpgrades, [&](const std::string& allowed) {
      return http::scan::equals_lower(name, allowed);
    }));
    CHECK(name.size() == protocol.size() || is_token(protocol.substr(name.size() + 1)));
  }
}

std::string describe_nominated(const http::FieldIndexSet& nominated) {
  std::string out;
  for (std::size_t i = 0; i < http::kFieldsMax; ++i) {
    if (nominated.contains(i)) out += " !" + std::to_string(i);
  }
  return out;
}

std::string describe_number(const char* name, std::optional<std::uint64_t> number) {
  return number ? std::string(name) + std::to_string(*number) : std::string();
}

}  // namespace

ReaderOptions take_reader_options(Input& input, HeadParser::Mode mode) {
  ReaderOptions options;
  options.mode = mode;
  if (const std::uint8_t scale = input.byte(); scale != 0) {
    options.limits.head_bytes_max = static_cast<std::uint16_t>(scale * 8);
    options.limits.target_bytes_max = scale;
    options.limits.fields_max = scale % 8;
    options.extension_bytes_max = scale;
  }
  const std::uint8_t answered = input.byte();
  options.request_method = static_cast<http::MethodId>((answered + 1) % 10);
  if (answered / 10 % 2 != 0) options.upgrade_offer = "websocket, SPDY/3.1";
  return options;
}

Reader::Reader(const ReaderOptions& options) : options_(options) {
  parser_.begin(options.mode, options.limits);
}

void Reader::feed(std::string_view piece) {
  unread_ += piece;
  const auto block = exact_block(unread_);
  std::size_t at = 0;
  while (const Used used = step(block.get() + at, unread_.size() - at)) {
    at += *used;
    read_ += *used;
    if (stage_ == Stage::head) out_.consumed = read_;
  }
  unread_.erase(0, at);
}

Reader::Used Reader::step(const char* data, std::size_t size) {
  switch (stage_) {
    case Stage::head: return step_head(data, size);
    case Stage::length: return step_length(data, size);
    case Stage::chunked: return step_chunked(data, size);
    case Stage::trailers: return step_trailers(data, size);
    case Stage::until_close:
      out_.messages.back().body.append(data, size);
      return size == 0 ? Used{} : Used{size};
    case Stage::ended: break;
  }
  return std::nullopt;
}

Reader::Used Reader::fail(ParseError error) {
  const http::ParseErrorInfo& row = http::info(error);
  CHECK(row.status >= 400 && row.status < 600 && !row.word.empty());
  out_.error = error;
  stage_ = Stage::ended;
  return std::nullopt;
}

Reader::Used Reader::step_head(const char* data, std::size_t size) {
  const ParseStatus status = parser_.parse(data, size);
  CHECK(parser_.parse(data, size) == status);
  if (status == ParseStatus::error) return fail(parser_.error());
  if (status == ParseStatus::need_more) return std::nullopt;
  // From here on the head alone is there: nothing of it may lie beyond its end.
  const std::size_t used = parser_.head_bytes();
  CHECK(used <= size);
  const auto head = exact_block({data, used});
  parser_.rebase(head.get());
  check_limits(parser_, options_.limits);
  const bool request = options_.mode == HeadParser::Mode::request;
  Message message;
  message.first = request ? parser_.method() : std::to_string(parser_.status_code());
  message.second = request ? parser_.target() : parser_.reason();
  message.version.assign(head.get() + (request ? parser_.fields_at() - 10 : 0), 8);
  CHECK(message.version.starts_with("HTTP/1."));
  message.fields = copy_fields(parser_);
  out_.messages.push_back(std::move(message));
  request ? read_request() : read_response();
  if (stage_ == Stage::ended && out_.error != ParseError::none) return std::nullopt;
  return used;
}

void Reader::read_request() {
  Message& message = out_.messages.back();
  CHECK(is_token(message.first) && message.first.size() <= http::kMethodBytesMax);
  CHECK(!message.second.empty() && message.second.size() <= options_.limits.target_bytes_max);
  const auto info = http::analyse_request(parser_);
  if (!info) return static_cast<void>(fail(info.error()));
  CHECK(inside(info->host, info->authority));
  CHECK(inside(info->target, parser_.target_slice()));
  CHECK(info->authority.size != 0 || info->http10);
  const std::string_view path = info->path(parser_);
  if (info->method == http::MethodId::connect) {
    CHECK(path == parser_.target() && !info->keep_alive);
  } else {
    CHECK(path == "*" || path.starts_with('/'));
  }
  message.path = path;
  const http::UpgradeOffer offer = http::choose_upgrades(parser_, *info, kUpgrades);
  check_offer(offer.text(), info->offers_upgrade);
  CHECK((info->port != 0) == (info->method == http::MethodId::connect));
  message.meaning = describe(info->keep_alive, info->http10, info->body) + " " +
                    std::string(parser_.view(info->authority)) + " " +
                    std::string(info->query(parser_)) +
                    (info->expects_continue ? " expects-continue" : "") +
                    (info->offers_upgrade ? " offers-upgrade " : "") + std::string(offer.text()) +
                    " " + std::to_string(info->port) + " " + std::to_string(info->max_forwards) +
                    describe_nominated(info->nominated);
  CHECK(info->body.kind != BodyFraming::Kind::until_close);
  enter_body(info->body, !info->keep_alive);
}

void Reader::read_response() {
  Message& message = out_.messages.back();
  CHECK(message.first.size() == 3 && is_value("." + message.second + "."));
  const auto info =
      http::analyse_response(parser_, options_.request_method, options_.upgrade_offer);
  if (!info) return static_cast<void>(fail(info.error()));
  CHECK(!info->interim || info->body.kind == BodyFraming::Kind::none);
  CHECK(info->switches == (info->status == 101) && !(info->switches && info->interim));
  if (info->switches) {
    CHECK(!options_.upgrade_offer.empty() && !info->keep_alive);
    CHECK(info->body.kind == BodyFraming::Kind::none && info->content_length == 0);
  }
  CHECK(!info->keep_alive || info->body.kind != BodyFraming::Kind::until_close);
  message.meaning = describe(info->keep_alive, info->http10, info->body) +
                    describe_number(" length ", info->content_length) +
                    describe_number(" timeout ", info->keep_alive_timeout_s) +
                    describe_number(" max ", info->keep_alive_max) +
                    describe_nominated(info->nominated);
  enter_body(info->body, !info->keep_alive);
}

void Reader::enter_body(const BodyFraming& framing, bool last) {
  out_.messages.back().framing = framing;
  out_.messages.back().last = last;
  last_ = last || options_.one_head || options_.one_message;
  if (options_.one_head) return end_message();
  length_left_ = framing.length;
  decoder_.begin(options_.extension_bytes_max);
  switch (framing.kind) {
    case BodyFraming::Kind::none: return end_message();
    case BodyFraming::Kind::length: stage_ = Stage::length; return;
    case BodyFraming::Kind::chunked: stage_ = Stage::chunked; return;
    case BodyFraming::Kind::until_close: stage_ = Stage::until_close; return;
  }
}

Reader::Used Reader::step_length(const char* data, std::size_t size) {
  const std::size_t take = std::min<std::uint64_t>(length_left_, size);
  out_.messages.back().body.append(data, take);
  length_left_ -= take;
  if (length_left_ == 0) {
    end_message();
  } else if (take == 0) {
    return std::nullopt;
  }
  return take;
}

Reader::Used Reader::step_chunked(const char* data, std::size_t size) {
  const auto step = decoder_.step(data, size);
  CHECK(step.consumed <= size && step.data_at + step.data_size <= step.consumed);
  out_.messages.back().body.append(data + step.data_at, step.data_size);
  if (step.status == http::ChunkedDecoder::Status::error) return fail(decoder_.error());
  if (step.status == http::ChunkedDecoder::Status::trailers) {
    parser_.begin(HeadParser::Mode::trailers, options_.limits);
    stage_ = Stage::trailers;
  } else if (step.consumed == 0) {
    return std::nullopt;
  }
  return step.consumed;
}

Reader::Used Reader::step_trailers(const char* data, std::size_t size) {
  const ParseStatus status = parser_.parse(data, size);
  if (status == ParseStatus::error) return fail(parser_.error());
  if (status == ParseStatus::need_more) return std::nullopt;
  check_limits(parser_, options_.limits);
  out_.messages.back().trailers = copy_fields(parser_);
  const std::size_t used = parser_.head_bytes();
  end_message();
  return used;
}

void Reader::end_message() {
  ++out_.complete;
  stage_ = last_ ? Stage::ended : Stage::head;
  if (!last_) parser_.begin(options_.mode, options_.limits);
}

Reading Reader::finish() {
  if (stage_ == Stage::until_close) {
    ++out_.complete;
    stage_ = Stage::ended;
    out_.consumed = read_;
  }
  if (stage_ == Stage::ended && out_.error == ParseError::none) out_.consumed = read_;
  out_.untouched = stage_ == Stage::head && parser_.untouched();
  return std::move(out_);
}

Reading read(const ReaderOptions& options, std::string_view bytes, const PieceSizes& sizes) {
  Reader reader(options);
  feed_in_pieces(bytes, sizes, [&](std::string_view piece) { reader.feed(piece); });
  return reader.finish();
}

Reading read_every_way(const ReaderOptions& options, std::string_view bytes,
                       const PieceSizes& sizes) {
  Reading whole = read(options, bytes, {bytes.size()});
  CHECK(read(options, bytes, sizes) == whole, "the same bytes in pieces");
  if (bytes.size() <= kByteByByteMax) {
    CHECK(read(options, bytes, {1}) == whole, "the same bytes one by one");
  }
  std::size_t body_bytes = 0;
  for (const Message& message : whole.messages) body_bytes += message.body.size();
  CHECK(body_bytes <= bytes.size() && whole.consumed <= bytes.size());
  return whole;
}

}  // namespace weir::fuzz
