// One response head, as the answer to a request of any method; see request_head.cpp.
#include "reader.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  auto options = fuzz::take_reader_options(input, http::HeadParser::Mode::response);
  options.one_head = true;
  const auto sizes = fuzz::take_piece_sizes(input);
  static_cast<void>(fuzz::read_every_way(options, input.rest(), sizes));
  return 0;
}
