// Memory: where bytes lie while they are under way. splice() hands on stretches of memory, and each
// takes a place in a pipe, however short it is.
//
// A sender copies into the page fragment of its task, behind what the task has sent before, over
// whichever socket. So two sends with nothing between them lie side by side, and are one stretch to
// who splices them. What is spliced out of a pipe goes on where it lies, but from then on each page
// is a stretch of its own. A unix socket keeps a small message in a buffer of its own, which a
// splice copies into the page fragment (net/core/sock.c, net/core/skbuff.c).
//
// The simulated machine has one page fragment for all who send.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace weir::sim {

inline constexpr std::size_t kPageBytes = 4'096;
// Pages in a row; no stretch goes beyond them.
inline constexpr std::size_t kFragmentBytes = 32'768;

// Stands for pages in a row: they live while bytes lie in them.
struct Pages {};

struct Stretch {
  std::string bytes;
  std::shared_ptr<const Pages> pages = {};  // None: a buffer that cannot be spliced.
  std::size_t page = 0;                     // The one of them that the offset counts from.
  std::size_t offset = 0;                   // May be more than a page.

  [[nodiscard]] bool goes_on_in(const Stretch& next) const {
    return pages != nullptr && pages == next.pages && page == next.page &&
           offset + bytes.size() == next.offset;
  }
  [[nodiscard]] Stretch part(std::size_t from, std::size_t size) const {
    return {bytes.substr(from, size), pages, page, offset + from};
  }
  void drop_front(std::size_t size) {
    bytes.erase(0, size);
    offset += size;
  }
};

// Bytes in order, as few stretches as they are.
class Stretches {
 public:
  void append(Stretch next);
  // The first `size` bytes are taken out.
  [[nodiscard]] Stretches take(std::size_t size);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void clear() { *this = {}; }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] auto begin() const { return list_.begin(); }
  [[nodiscard]] auto end() const { return list_.end(); }

 private:
  std::deque<Stretch> list_;
  std::size_t size_ = 0;
};

class PageFragment {
 public:
  // Copies the first bytes, as many as there is room for: at least one.
  [[nodiscard]] Stretch copy_front(std::string_view bytes);
  // Copies all.
  [[nodiscard]] Stretches copy(std::string_view bytes);

 private:
  std::shared_ptr<const Pages> pages_;
  std::size_t used_ = 0;
};

// The same bytes in the same places, page by page.
[[nodiscard]] Stretches page_by_page(const Stretches& bytes);
// The same bytes where nothing else lies, in single pages, the first `offset` bytes into its page.
[[nodiscard]] Stretches lay_apart(std::string_view bytes, std::size_t offset);

}  // namespace weir::sim
