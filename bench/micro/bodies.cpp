// Chunked bodies: 64 KiB in chunks of a given size, against llhttp.
#include <benchmark/benchmark.h>
#include <llhttp.h>

#include <algorithm>
#include <array>
#include <string>

#include "http/chunked.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBodyBytes = 64 * 1024;

std::string make_chunks(std::size_t chunk_bytes) {
  std::string text;
  std::array<char, http::kChunkBeginBytesMax> line;
  for (std::size_t left = kBodyBytes; left > 0;) {
    const std::size_t size = std::min(left, chunk_bytes);
    text.append(line.data(), http::write_chunk_begin(line.data(), size));
    text.append(size, 'x').append(http::kChunkEnd);
    left -= size;
  }
  return text.append(http::kLastChunk);
}

void finish(benchmark::State& state, std::size_t decoded) {
  if (decoded != kBodyBytes) state.SkipWithError("the body was not decoded");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kBodyBytes));
}

void decode_chunked(benchmark::State& state) {
  const std::string text = make_chunks(static_cast<std::size_t>(state.range(0)));
  std::size_t decoded = 0;
  for (auto _ : state) {
    http::ChunkedDecoder decoder;
    decoder.begin();
    decoded = 0;
    for (std::size_t at = 0;;) {
      const auto step = decoder.step(text.data() + at, text.size() - at);
      decoded += step.data_size;
      at += step.consumed;
      if (step.status != http::ChunkedDecoder::Status::data) break;
    }
  }
  finish(state, decoded);
}

int count_bytes(llhttp_t* parser, const char* /*at*/, std::size_t size) {
  *static_cast<std::size_t*>(parser->data) += size;
  return 0;
}

void decode_chunked_llhttp(benchmark::State& state) {
  const std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                           make_chunks(static_cast<std::size_t>(state.range(0)));
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = count_bytes;
  std::size_t decoded = 0;
  for (auto _ : state) {
    llhttp_t parser;
    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    decoded = 0;
    parser.data = &decoded;
    if (llhttp_execute(&parser, text.data(), text.size()) != HPE_OK) decoded = 0;
  }
  finish(state, decoded);
}

BENCHMARK(decode_chunked)->Arg(16)->Arg(1024)->Arg(16 * 1024);
BENCHMARK(decode_chunked_llhttp)->Arg(16)->Arg(1024)->Arg(16 * 1024);

}  // namespace
}  // namespace weir::bench
