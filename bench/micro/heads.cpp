// Heads: reading them, against llhttp and against a walk byte by byte, understanding and writing.
#include "heads.h"

#include <benchmark/benchmark.h>
#include <llhttp.h>

#include <array>

#include "http/head_parser.h"
#include "http/request.h"
#include "http/response.h"
#include "http/scan.h"
#include "http/writer.h"

namespace weir::bench {
namespace {

using Mode = http::HeadParser::Mode;

// In bytes of the head; an error ends the measurement.
void finish(benchmark::State& state, std::string_view head, bool success) {
  if (!success) state.SkipWithError("the head was refused");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * head.size()));
}

void parse(benchmark::State& state, Mode mode, std::string_view head) {
  http::HeadParser parser;
  bool success = true;
  for (auto _ : state) {
    parser.begin(mode, {});
    success = success && parser.parse(head.data(), head.size()) == http::ParseStatus::complete;
  }
  finish(state, head, success);
}

int count_bytes(llhttp_t* parser, const char* /*at*/, std::size_t size) {
  *static_cast<std::size_t*>(parser->data) += size;
  return 0;
}

int pause_behind_head(llhttp_t* /*parser*/) { return HPE_PAUSED; }

// It finds the parts and checks them, and stores nothing: what it hands out is counted.
void parse_llhttp(benchmark::State& state, llhttp_type_t type, std::string_view head) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = settings.on_status = count_bytes;
  settings.on_header_field = settings.on_header_value = count_bytes;
  settings.on_headers_complete = pause_behind_head;
  std::size_t bytes = 0;
  bool success = true;
  for (auto _ : state) {
    llhttp_t parser;
    llhttp_init(&parser, type, &settings);
    parser.data = &bytes;
    success = success && llhttp_execute(&parser, head.data(), head.size()) == HPE_PAUSED;
  }
  benchmark::DoNotOptimize(bytes);
  finish(state, head, success);
}

// Of a request: method, target, version, and names and values of the fields.
struct Parts {
  std::string_view method, target, version;
  std::array<std::string_view, 2 * http::kFieldsMax> fields;
};

// The least that a parser without vectors can do: every byte is looked up once, every part is
// stored. No limits, no fields by name, no second chance for a head that comes in pieces.
class Walk {
 public:
  explicit Walk(std::string_view head) : at_(head.data()), end_(at_ + head.size()) {}

  bool run(Parts& parts) {
    if (!request_line(parts)) return false;
    for (std::size_t count = 0; end_ - at_ > 2; count += 2) {
      if (!take<http::scan::kToken>(parts.fields[count]) || !skip(":")) return false;
      while (at_ != end_ && http::scan::is_blank(*at_)) ++at_;
      take<http::scan::kValue>(parts.fields[count + 1]);
      if (!skip("\r\n")) return false;
    }
    return skip("\r\n") && at_ == end_;
  }

 private:
  bool request_line(Parts& parts) {
    return take<http::scan::kToken>(parts.method) && skip(" ") &&
           take<http::scan::kTarget>(parts.target) && skip(" ") &&
           take<http::scan::kTarget>(parts.version) && is_version(parts.version) && skip("\r\n");
  }

  static bool is_version(std::string_view text) { return text == "HTTP/1.1" || text == "HTTP/1.0"; }

  // False when it is empty.
  template <http::scan::ByteClass kClass>
  bool take(std::string_view& part) {
    const char* const to = http::scan::find_end_scalar<kClass>(at_, end_);
    part = {at_, to};
    at_ = to;
    return !part.empty();
  }

  bool skip(std::string_view text) {
    if (!std::string_view(at_, end_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  const char* at_;
  const char* end_;
};

void parse_scalar(benchmark::State& state, std::string_view head) {
  Parts parts;
  bool success = true;
  for (auto _ : state) {
    success = success && Walk(head).run(parts);
    benchmark::DoNotOptimize(parts);
  }
  finish(state, head, success);
}

void understand_and_write_request(benchmark::State& state, std::string_view head) {
  http::HeadParser parser;
  parser.begin(Mode::request, {});
  bool success = parser.parse(head.data(), head.size()) == http::ParseStatus::complete;
  http::ForwardOptions options;
  options.client_ip = "192.0.2.17";
  std::array<char, 4096> out;
  for (auto _ : state) {
    const auto info = http::analyse_request(parser);
    success = success && info &&
              http::write_request_head(out.data(), out.size(), parser, *info, options) > 0;
    benchmark::DoNotOptimize(out);
  }
  finish(state, head, success);
}

void understand_and_write_response(benchmark::State& state, std::string_view head) {
  http::HeadParser parser;
  parser.begin(Mode::response, {});
  bool success = parser.parse(head.data(), head.size()) == http::ParseStatus::complete;
  http::ResponseOptions options;
  options.date = "Sat, 21 Nov 2026 10:00:00 GMT";
  std::array<char, 4096> out;
  for (auto _ : state) {
    const auto info = http::analyse_response(parser, http::MethodId::get, {});
    success = success && info &&
              http::write_response_head(out.data(), out.size(), parser, *info, options) > 0;
    benchmark::DoNotOptimize(out);
  }
  finish(state, head, success);
}

BENCHMARK_CAPTURE(parse, small_request, Mode::request, kSmallRequest);
BENCHMARK_CAPTURE(parse_llhttp, small_request, HTTP_REQUEST, kSmallRequest);
BENCHMARK_CAPTURE(parse_scalar, small_request, kSmallRequest);
BENCHMARK_CAPTURE(parse, large_request, Mode::request, kLargeRequest);
BENCHMARK_CAPTURE(parse_llhttp, large_request, HTTP_REQUEST, kLargeRequest);
BENCHMARK_CAPTURE(parse_scalar, large_request, kLargeRequest);
BENCHMARK_CAPTURE(parse, small_response, Mode::response, kSmallResponse);
BENCHMARK_CAPTURE(parse_llhttp, small_response, HTTP_RESPONSE, kSmallResponse);
BENCHMARK_CAPTURE(parse, large_response, Mode::response, kLargeResponse);
BENCHMARK_CAPTURE(parse_llhttp, large_response, HTTP_RESPONSE, kLargeResponse);
BENCHMARK_CAPTURE(understand_and_write_request, small, kSmallRequest);
BENCHMARK_CAPTURE(understand_and_write_request, large, kLargeRequest);
BENCHMARK_CAPTURE(understand_and_write_response, small, kSmallResponse);
BENCHMARK_CAPTURE(understand_and_write_response, large, kLargeResponse);

}  // namespace
}  // namespace weir::bench
