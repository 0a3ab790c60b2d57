// See transcript.h.
#include "transcript.h"

#include <algorithm>
#include <memory>

#include "http/upgrade.h"
#include "vectors.h"

namespace weir::http::test {

Transcript::Transcript(const MessageKind& kind) : kind_(kind), stage_(Stage::head) {
  parser_.begin(kind.mode, kind.limits);
  decoder_.begin(kind.extension_bytes_max);
  if (kind.body_only) {
    stage_ = Stage::chunked;
    body_.kind = BodyFraming::Kind::chunked;
  }
}

bool Transcript::feed(const char* data, std::size_t size) {
  if (stage_ == Stage::head && !feed_head(data, size)) return false;
  if (stage_ == Stage::length && !feed_length(data, size)) return false;
  if (stage_ == Stage::chunked && !feed_chunked(data, size)) return false;
  if (stage_ == Stage::trailers && !feed_trailers(data, size)) return false;
  if (stage_ == Stage::until_close) {
    data_.append(data + consumed_, size - consumed_);
    consumed_ = size;
  }
  return stage_ != Stage::done;
}

bool Transcript::feed_head(const char* data, std::size_t size) {
  switch (parser_.parse(data, size)) {
    case ParseStatus::need_more: return true;
    case ParseStatus::error: return fail(parser_.error(), size);
    case ParseStatus::complete: break;
  }
  consumed_ = parser_.head_bytes();
  if (kind_.mode == HeadParser::Mode::trailers) {
    describe_fields("trailer ");
    stage_ = Stage::done;
    return false;
  }
  say("head " + std::to_string(consumed_));
  describe_fields("field ");
  return kind_.mode == HeadParser::Mode::request ? describe_request() : describe_response();
}

void Transcript::describe_fields(std::string_view label) {
  for (const Field& field : parser_.fields()) {
    say(std::string(label) + std::string(parser_.name(field)) + ": " +
        std::string(parser_.value(field)));
  }
}

bool Transcript::describe_request() {
  say("request " + std::string(parser_.method()) + " " + std::string(parser_.target()) +
      " HTTP/1." + std::to_string(parser_.minor_version()));
  const auto info = analyse_request(parser_);
  if (!info) return fail(info.error(), 0);
  say("path " + std::string(info->path(parser_)));
  say("query " + std::string(info->query(parser_)));
  say("authority " + std::string(parser_.view(info->authority)));
  say("host " + std::string(parser_.view(info->host)));
  say(info->keep_alive ? "keep-alive" : "close");
  if (info->expects_continue) say("expects-continue");
  if (info->port != 0) say("port " + std::to_string(info->port));
  if (info->offers_upgrade) {
    const UpgradeOffer offer = choose_upgrades(parser_, *info, kind_.upgrades);
    say("offers-upgrade" + (offer.empty() ? "" : " " + std::string(offer.text())));
  }
  if (info->max_forwards >= 0) say("max-forwards " + std::to_string(info->max_forwards));
  return enter_body(info->body);
}

bool Transcript::describe_response() {
  say("response " + std::to_string(parser_.status_code()) + " " + std::string(parser_.reason()) +
      " HTTP/1." + std::to_string(parser_.minor_version()));
  UpgradeOffer offer;
  for (const std::string& protocol : kind_.upgrades) offer.add(protocol);
  const auto info = analyse_response(parser_, kind_.request_method, offer.text());
  if (!info) return fail(info.error(), 0);
  say(info->keep_alive ? "keep-alive" : "close");
  if (info->interim) say("interim");
  if (info->switches) say("switches");
  if (info->has_content_length) say("content-length " + std::to_string(info->content_length));
  if (info->keep_alive_timeout_s) say("timeout " + std::to_string(*info->keep_alive_timeout_s));
  if (info->keep_alive_max) say("max " + std::to_string(*info->keep_alive_max));
  return enter_body(info->body);
}

bool Transcript::enter_body(const BodyFraming& body) {
  body_ = body;
  switch (body.kind) {
    case BodyFraming::Kind::none:
      say("body none");
      stage_ = Stage::done;
      return false;
    case BodyFraming::Kind::length:
      say("body length " + std::to_string(body.length));
      stage_ = Stage::length;
      return true;
    case BodyFraming::Kind::chunked:
      say("body chunked");
      stage_ = Stage::chunked;
      return true;
    case BodyFraming::Kind::until_close:
      say("body until close");
      stage_ = Stage::until_close;
      return true;
  }
  return false;
}

bool Transcript::feed_length(const char* data, std::size_t size) {
  const std::uint64_t take = std::min<std::uint64_t>(body_.length, size - consumed_);
  data_.append(data + consumed_, take);
  consumed_ += take;
  body_.length -= take;
  if (body_.length == 0) stage_ = Stage::done;
  return body_.length != 0;
}

bool Transcript::feed_chunked(const char* data, std::size_t size) {
  for (;;) {
    const auto step = decoder_.step(data + consumed_, size - consumed_);
    data_.append(data + consumed_ + step.data_at, step.data_size);
    consumed_ += step.consumed;
    switch (step.status) {
      case ChunkedDecoder::Status::data: continue;
      case ChunkedDecoder::Status::need_more: return true;
      case ChunkedDecoder::Status::error: return fail(decoder_.error(), size);
      case ChunkedDecoder::Status::trailers:
        stage_ = Stage::trailers;
        parser_.begin(HeadParser::Mode::trailers, kind_.limits);
        return true;
    }
  }
}

bool Transcript::feed_trailers(const char* data, std::size_t size) {
  switch (parser_.parse(data + consumed_, size - consumed_)) {
    case ParseStatus::need_more: return true;
    case ParseStatus::error: return fail(parser_.error(), size);
    case ParseStatus::complete: break;
  }
  describe_fields("trailer ");
  consumed_ += parser_.head_bytes();
  stage_ = Stage::done;
  return false;
}

void Transcript::say(const std::string& line) { lines_.push_back(escape(line)); }

bool Transcript::fail(ParseError error, std::size_t size) {
  lines_.clear();  // What was said before an error does not count.
  say("error " + std::string(to_string(error)));
  failed_at_ = size;
  stage_ = Stage::done;
  data_.clear();
  return false;
}

std::vector<std::string> Transcript::finish(std::size_t size) {
  if (lines_.size() == 1 && lines_[0].starts_with("error ")) return lines_;
  if (!data_.empty()) say("data " + data_);
  if (stage_ != Stage::done && stage_ != Stage::until_close) {
    say("incomplete");
  } else if (size != consumed_) {
    say("left " + std::to_string(size - consumed_));
  }
  return lines_;
}

std::vector<std::string> read_in_pieces(const MessageKind& kind, std::string_view bytes,
                                        const std::vector<std::size_t>& cuts,
                                        std::size_t* failed_at) {
  Transcript transcript(kind);
  bool wanted = true;
  const auto feed = [&](std::size_t size) {
    const auto block = std::make_unique<char[]>(size);
    bytes.substr(0, size).copy(block.get(), size);
    wanted = transcript.feed(block.get(), size);
  };
  for (const std::size_t cut : cuts) {
    if (wanted) feed(cut);
  }
  if (wanted) feed(bytes.size());
  if (failed_at != nullptr) *failed_at = transcript.failed_at();
  return transcript.finish(bytes.size());
}

}  // namespace weir::http::test
