// SegmentTree: nodes reached by segments of text, such as the labels of a host or the segments of a
// path, with a value each. A step from a node to a child costs one look-up in one hash table for
// the whole tree, however many children the node has.
//
// It only grows, so ids stay valid; references to values do not. Texts are copied. `kSame` compares
// the segment asked for with one that was added; it may ignore the case of ASCII letters.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace weir::proxy {

template <typename Value, bool (*kSame)(std::string_view asked, std::string_view added)>
class SegmentTree {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = UINT32_MAX;

  // A node without parent: the beginning of a tree of its own.
  [[nodiscard]] Id add_root() {
    nodes_.push_back({kNone, 0, 0, {}});
    return static_cast<Id>(nodes_.size() - 1);
  }

  // The child, which is made if there is none.
  [[nodiscard]] Id add(Id parent, std::string_view segment) {
    if (const Id known = child(parent, segment); known != kNone) return known;
    const auto id = static_cast<Id>(nodes_.size());
    nodes_.push_back({parent,
                      static_cast<std::uint32_t>(text_.size()),
                      static_cast<std::uint32_t>(segment.size()),
                      {}});
    text_ += segment;
    longest_ = std::max(longest_, segment.size());
    if (++children_ * 2 > slots_.size()) grow();
    place({hash(parent, segment), id});
    return id;
  }

  // The child, or kNone.
  [[nodiscard]] Id child(Id parent, std::string_view segment) const {
    if (segment.size() > longest_) return kNone;  // Bounds what a long segment costs.
    const std::uint32_t wanted = hash(parent, segment);
    for (std::size_t at = wanted & mask();; at = (at + 1) & mask()) {
      const Slot& slot = slots_[at];
      if (slot.id == kNone) return kNone;
      if (slot.hash == wanted && is(slot.id, parent, segment)) return slot.id;
    }
  }

  [[nodiscard]] const Value& operator[](Id id) const { return nodes_[id].value; }
  [[nodiscard]] Value& operator[](Id id) { return nodes_[id].value; }

 private:
  struct Node {
    Id parent;
    std::uint32_t text;  // Offset into text_.
    std::uint32_t length;
    Value value;
  };
  struct Slot {
    std::uint32_t hash = 0;
    Id id = kNone;
  };
  static constexpr std::size_t kSlotsMin = 4;

  // Regards letters of either case as equal, so that kSame may do so.
  static std::uint32_t hash(Id parent, std::string_view segment) {
    constexpr std::uint64_t kLower = 0x2020'2020'2020'2020;
    std::uint64_t hash = (std::uint64_t{parent} << 32) + segment.size();
    const auto mix = [&hash](std::uint64_t word) {
      hash = (hash ^ (word | kLower)) * 0x9E37'79B9'7F4A'7C15;
      hash ^= hash >> 32;
    };
    std::uint64_t word = 0;
    for (; segment.size() >= sizeof word; segment.remove_prefix(sizeof word)) {
      std::memcpy(&word, segment.data(), sizeof word);
      mix(word);
    }
    word = 0;
    for (const char byte : segment) word = word << 8 | static_cast<unsigned char>(byte);
    mix(word);
    return static_cast<std::uint32_t>(hash);
  }

  [[nodiscard]] bool is(Id id, Id parent, std::string_view segment) const {
    const Node& node = nodes_[id];
    return node.parent == parent && kSame(segment, {text_.data() + node.text, node.length});
  }

  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }

  void place(const Slot& slot) {
    std::size_t at = slot.hash & mask();
    while (slots_[at].id != kNone) at = (at + 1) & mask();
    slots_[at] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.id != kNone) place(slot);
    }
  }

  std::vector<Node> nodes_;
  std::string text_;                                        // Of all segments.
  std::vector<Slot> slots_ = std::vector<Slot>(kSlotsMin);  // A power of two; half are free.
  std::size_t children_ = 0;
  std::size_t longest_ = 0;  // Segment.
};

}  // namespace weir::proxy
