// All that one side says on a connection: heads, bodies, trailers and the next message, until an
// error, the last message or the end. The messages must lie end to end: what is behind a complete
// one is read as if it had come alone.
#include "base/check.h"
#include "reader.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  using http::HeadParser;
  fuzz::Input input(data, size);
  const auto mode = input.flag() ? HeadParser::Mode::response : HeadParser::Mode::request;
  const auto options = fuzz::take_reader_options(input, mode);
  const auto sizes = fuzz::take_piece_sizes(input);
  const std::string_view bytes = input.rest();
  const fuzz::Reading all = fuzz::read_every_way(options, bytes, sizes);

  // Complete messages stay what they are without what follows them.
  const fuzz::Reading alone = fuzz::read(options, bytes.substr(0, all.consumed), sizes);
  CHECK(alone.complete == all.complete && alone.consumed == all.consumed);
  CHECK(alone.error == http::ParseError::none && alone.messages.size() == alone.complete);
  for (std::size_t i = 0; i < alone.complete; ++i) CHECK(alone.messages[i] == all.messages[i]);
  return 0;
}
