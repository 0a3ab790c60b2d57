#include "sim/kernel/memory.h"

#include <algorithm>
#include <utility>

namespace weir::sim {

void Stretches::append(Stretch next) {
  size_ += next.bytes.size();
  if (!list_.empty() && list_.back().goes_on_in(next)) {
    list_.back().bytes += next.bytes;
  } else {
    list_.push_back(std::move(next));
  }
}

Stretches Stretches::take(std::size_t size) {
  Stretches taken;
  size_ -= size;
  while (size > 0) {
    Stretch& first = list_.front();
    const std::size_t part = std::min(size, first.bytes.size());
    size -= part;
    if (part == first.bytes.size()) {
      taken.append(std::move(first));
      list_.pop_front();
    } else {
      taken.append(first.part(0, part));
      first.drop_front(part);
    }
  }
  return taken;
}

std::string Stretches::text() const {
  std::string text;
  for (const Stretch& stretch : list_) text += stretch.bytes;
  return text;
}

Stretch PageFragment::copy_front(std::string_view bytes) {
  constexpr std::size_t kRoomMin = 32;  // With less, Linux takes new pages.
  if (pages_.use_count() == 1) used_ = 0;
  if (pages_ == nullptr || used_ + kRoomMin > kFragmentBytes) {
    pages_ = std::make_shared<const Pages>();
    used_ = 0;
  }
  const std::string_view part = bytes.substr(0, kFragmentBytes - used_);
  Stretch copied{std::string(part), pages_, 0, used_};
  used_ += part.size();
  return copied;
}

Stretches PageFragment::copy(std::string_view bytes) {
  Stretches copied;
  while (!bytes.empty()) {
    Stretch part = copy_front(bytes);
    bytes.remove_prefix(part.bytes.size());
    copied.append(std::move(part));
  }
  return copied;
}

Stretches page_by_page(const Stretches& bytes) {
  Stretches pages;
  for (const Stretch& stretch : bytes) {
    for (std::size_t from = 0; from < stretch.bytes.size();) {
      const std::size_t at = stretch.offset + from;
      Stretch part = stretch.part(from, kPageBytes - at % kPageBytes);
      part.page += at / kPageBytes;
      part.offset = at % kPageBytes;
      from += part.bytes.size();
      pages.append(std::move(part));
    }
  }
  return pages;
}

Stretches lay_apart(std::string_view bytes, std::size_t offset) {
  Stretches apart;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kPageBytes - offset);
    bytes.remove_prefix(part.size());
    apart.append({std::string(part), std::make_shared<const Pages>(), 0, offset});
    offset = 0;
  }
  return apart;
}

}  // namespace weir::sim
