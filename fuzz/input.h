// What libFuzzer hands to a target: the bytes to be read, and behind them the bytes that steer how.
//
// The steering bytes are taken from the end, so that the wire bytes of a vector with zeros behind
// them are a seed, and so that a change of the message leaves the steering alone. Who asks for more
// than there are gets zeros: zero must always be the ordinary choice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

// The one function of a target; libFuzzer brings main() and calls it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weir::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto last = static_cast<std::uint8_t>(rest_.back());
    rest_.remove_suffix(1);
    return last;
  }
  bool flag() { return (byte() & 1) != 0; }
  std::uint32_t number() {
    std::uint32_t out = 0;
    for (int i = 0; i < 4; ++i) out = out << 8 | byte();
    return out;
  }
  // What has not been taken.
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// A block of exactly the size of `bytes`: AddressSanitizer sees every step outside.
inline std::unique_ptr<char[]> exact_block(std::string_view bytes) {
  auto block = std::make_unique<char[]>(bytes.size());
  bytes.copy(block.get(), bytes.size());
  return block;
}

// Sizes of the pieces in which bytes arrive, used in turn; each is 1 to 256.
using PieceSizes = std::vector<std::size_t>;

inline PieceSizes take_piece_sizes(Input& input) {
  PieceSizes sizes;
  for (int i = 0; i < 4; ++i) sizes.push_back(input.byte() + std::size_t{1});
  return sizes;
}

template <typename Feed>
void feed_in_pieces(std::string_view bytes, const PieceSizes& sizes, Feed feed) {
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::string_view piece = bytes.substr(0, sizes[i % sizes.size()]);
    feed(piece);
    bytes.remove_prefix(piece.size());
  }
}

}  // namespace weir::fuzz
