// The chunked coding against a plain second decoder: the same data, the same end, an error where it
// has one. The bytes are cut anywhere, some data goes past the decoder as it does with splice(),
// and what was decoded is encoded and decoded again.
#include "http/chunked.h"

#include "base/check.h"
#include "input.h"
#include "plain_chunked.h"

namespace {

using namespace weir;
using fuzz::ChunkedEnd;
using fuzz::Decoded;

class Decoder {
 public:
  Decoder(std::uint32_t extension_bytes_max, bool past) : past_(past) {
    decoder_.begin(extension_bytes_max);
  }

  void feed(std::string_view piece) {
    const auto block = fuzz::exact_block(piece);
    for (std::size_t at = 0; at < piece.size() && out_.end == ChunkedEnd::more;) {
      at += step(block.get() + at, piece.size() - at);
    }
  }

  Decoded finish() {
    out_.used = out_.end == ChunkedEnd::trailers ? used_ : 0;
    return std::move(out_);
  }

 private:
  std::size_t step(const char* data, std::size_t size) {
    using Status = http::ChunkedDecoder::Status;
    http::ChunkedDecoder::Step step{};
    if (past_ && decoder_.chunk_left() != 0) {
      const std::size_t run = std::min<std::uint64_t>(decoder_.chunk_left(), size);
      decoder_.skip(run);
      step = {run, 0, run, Status::data};
    } else {
      step = decoder_.step(data, size);
    }
    CHECK(step.consumed <= size && step.data_at + step.data_size <= step.consumed);
    CHECK(step.status != Status::need_more || step.consumed == size);
    out_.data.append(data + step.data_at, step.data_size);
    used_ += step.consumed;
    if (step.status == Status::error) out_.end = ChunkedEnd::error;
    if (step.status == Status::trailers) out_.end = ChunkedEnd::trailers;
    return step.consumed;
  }

  http::ChunkedDecoder decoder_;
  bool past_;
  Decoded out_;
  std::size_t used_ = 0;
};

Decoded decode(std::string_view bytes, const fuzz::PieceSizes& sizes,
               std::uint32_t extension_bytes_max, bool past) {
  Decoder decoder(extension_bytes_max, past);
  fuzz::feed_in_pieces(bytes, sizes, [&](std::string_view piece) { decoder.feed(piece); });
  return decoder.finish();
}

std::string encode(std::string_view data, const fuzz::PieceSizes& sizes) {
  std::string out;
  fuzz::feed_in_pieces(data, sizes, [&](std::string_view piece) {
    char begin[http::kChunkBeginBytesMax];
    out.append(begin, http::write_chunk_begin(begin, piece.size()));
    out.append(piece).append(http::kChunkEnd);
  });
  return out.append(http::kLastChunkLine);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t scale = input.byte();
  const std::uint32_t extension_max = scale == 0 ? http::kChunkExtensionBytesMax : scale;
  const auto sizes = fuzz::take_piece_sizes(input);
  const std::string_view bytes = input.rest();

  const Decoded plain = fuzz::PlainDecoder(bytes, extension_max).decode();
  CHECK(decode(bytes, {bytes.size()}, extension_max, false) == plain, "whole");
  CHECK(decode(bytes, sizes, extension_max, false) == plain, "in pieces");
  CHECK(decode(bytes, sizes, extension_max, true) == plain, "data past the decoder");
  CHECK(decode(bytes, {1}, extension_max, false) == plain, "one by one");

  const std::string again = encode(plain.data, sizes);
  const Decoded expected = {ChunkedEnd::trailers, plain.data, again.size()};
  CHECK(fuzz::PlainDecoder(again, 0).decode() == expected);
  CHECK(decode(again, sizes, 0, false) == expected, "encoded again");
  return 0;
}
