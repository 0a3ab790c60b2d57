// What the vectors cannot say: data moved past the decoder, and the encoder's half.
#include "http/chunked.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace weir::http {
namespace {

using Status = ChunkedDecoder::Status;

ChunkedDecoder::Step step(ChunkedDecoder& decoder, std::string_view bytes) {
  return decoder.step(bytes.data(), bytes.size());
}

TEST(ChunkedDecoder, TellsWhereTheDataLies) {
  ChunkedDecoder decoder;
  decoder.begin();
  const auto first = step(decoder, "5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(first.status, Status::data);
  EXPECT_EQ(first.data_at, 3U);
  EXPECT_EQ(first.data_size, 5U);
  EXPECT_EQ(first.consumed, 8U);
  EXPECT_EQ(decoder.chunk_left(), 0U);
  const auto last = step(decoder, "\r\n0\r\n\r\n");
  EXPECT_EQ(last.status, Status::trailers);
  EXPECT_EQ(last.consumed, 5U);  // The final CRLF belongs to the trailer section.
  EXPECT_EQ(step(decoder, "\r\n").status, Status::trailers);
}

TEST(ChunkedDecoder, DataMayBeMovedPastIt) {
  ChunkedDecoder decoder;
  decoder.begin();
  EXPECT_EQ(step(decoder, "10000\r\n").status, Status::need_more);
  EXPECT_EQ(decoder.chunk_left(), 0x10000U);
  decoder.skip(0xffff);
  EXPECT_EQ(decoder.chunk_left(), 1U);
  const auto next = step(decoder, "x\r\n0\r\n");
  EXPECT_EQ(next.data_size, 1U);
  EXPECT_EQ(step(decoder, "\r\n0\r\n").status, Status::trailers);
}

TEST(ChunkedDecoderDeathTest, MoreThanTheChunkCannotBeMoved) {
  ChunkedDecoder decoder;
  decoder.begin();
  (void)step(decoder, "2\r\n");
  EXPECT_DEATH(decoder.skip(3), "more than the chunk holds");
}

TEST(ChunkedDecoder, NothingChangesAfterAnError) {
  ChunkedDecoder decoder;
  decoder.begin();
  EXPECT_EQ(step(decoder, "x").status, Status::error);
  EXPECT_EQ(step(decoder, "5\r\nhello").status, Status::error);
  EXPECT_EQ(decoder.error(), ParseError::bad_chunk_size);
  decoder.begin();
  EXPECT_EQ(decoder.error(), ParseError::none);
  EXPECT_EQ(step(decoder, "0\r\n").status, Status::trailers);
}

// RFC 9112 7.1.1: one-byte chunks with a large extension each must not go on for ever.
TEST(ChunkedDecoder, ExtensionsAreBoundedOverTheWholeBody) {
  ChunkedDecoder decoder;
  decoder.begin();
  const std::string chunk = "1;" + std::string(1000, 'e') + "\r\nx\r\n";
  std::string body;
  for (int i = 0; i < 5; ++i) body += chunk;
  std::size_t at = 0;
  std::size_t chunks = 0;
  ChunkedDecoder::Step now{};
  do {
    now = decoder.step(body.data() + at, body.size() - at);
    at += now.consumed;
    chunks += now.data_size;
  } while (now.status == Status::data);
  EXPECT_EQ(now.status, Status::error);
  EXPECT_EQ(decoder.error(), ParseError::chunk_extensions_too_large);
  EXPECT_EQ(chunks, 4U);
}

TEST(ChunkEncoder, CanonicalSizes) {
  char out[kChunkBeginBytesMax];
  const auto written = [&](std::uint64_t size) {
    return std::string(out, write_chunk_begin(out, size));
  };
  EXPECT_EQ(written(1), "1\r\n");
  EXPECT_EQ(written(15), "f\r\n");
  EXPECT_EQ(written(16), "10\r\n");
  EXPECT_EQ(written(0x4000), "4000\r\n");
  EXPECT_EQ(written(~std::uint64_t{0}), "ffffffffffffffff\r\n");
  EXPECT_DEATH((void)write_chunk_begin(out, 0), "ends the body");
}

// What the encoder writes, the decoder reads, however it is cut.
TEST(ChunkEncoder, RoundTrip) {
  EXPECT_TRUE(
      rc::check("decode(encode(x)) == x", [](const std::vector<std::string>& pieces, unsigned cut) {
        std::string wire;
        std::string expected;
        for (const std::string& piece : pieces) {
          if (piece.empty()) continue;
          char begin[kChunkBeginBytesMax];
          wire.append(begin, write_chunk_begin(begin, piece.size()));
          wire += piece;
          wire += kChunkEnd;
          expected += piece;
        }
        wire += kLastChunk;
        ChunkedDecoder decoder;
        decoder.begin();
        std::string data;
        std::size_t at = 0;
        std::size_t given = cut % wire.size();
        for (;;) {
          const auto now = decoder.step(wire.data() + at, given - at);
          data.append(wire, at + now.data_at, now.data_size);
          at += now.consumed;
          RC_ASSERT(now.status != Status::error);
          if (now.status == Status::trailers) break;
          if (now.status == Status::need_more) given = wire.size();
        }
        RC_ASSERT(data == expected);
        RC_ASSERT(wire.substr(at) == "\r\n");
      }));
}

}  // namespace
}  // namespace weir::http
