// One request head: however its bytes are cut, the same verdict, and nothing is believed of it that
// its bytes do not say.
#include "reader.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  auto options = fuzz::take_reader_options(input, http::HeadParser::Mode::request);
  options.one_head = true;
  const auto sizes = fuzz::take_piece_sizes(input);
  static_cast<void>(fuzz::read_every_way(options, input.rest(), sizes));
  return 0;
}
