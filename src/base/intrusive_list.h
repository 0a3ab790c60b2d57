// A doubly linked list whose links live inside the elements: no allocation, O(1) removal of an
// element that only knows itself.
//
// Invariants: an element is in at most one list per link type; a link that is in no list has both
// pointers null; the list never owns its elements. `Tag` tells several links of one element apart.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace weir {

template <typename Tag>
class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { unlink(); }

  [[nodiscard]] bool linked() const { return next_ != nullptr; }

  // Leaves whatever list the element is in; does nothing when it is in none.
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;

  void insert_before(ListLink& position) {
    CHECK(next_ == nullptr, "element is in a list already");
    previous_ = position.previous_;
    next_ = &position;
    previous_->next_ = this;
    position.previous_ = this;
  }

  ListLink* next_ = nullptr;
  ListLink* previous_ = nullptr;
};

// T derives from ListLink<Tag>.
template <typename T, typename Tag>
class IntrusiveList {
  using Link = ListLink<Tag>;

 public:
  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  ~IntrusiveList() {
    clear();
    head_.next_ = head_.previous_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool empty() const { return head_.next_ == &head_; }
  void push_back(T& element) { static_cast<Link&>(element).insert_before(head_); }
  void push_front(T& element) { static_cast<Link&>(element).insert_before(*head_.next_); }
  // The casts are of references: one of a pointer would ask once more whether it is null.
  [[nodiscard]] T* front() { return empty() ? nullptr : &static_cast<T&>(*head_.next_); }
  [[nodiscard]] T* back() { return empty() ? nullptr : &static_cast<T&>(*head_.previous_); }

  [[nodiscard]] T* pop_front() {
    T* element = front();
    if (element != nullptr) static_cast<Link&>(*element).unlink();
    return element;
  }

  // Moves every element of `other` behind those of this list, in order. O(1).
  void take_all(IntrusiveList& other) {
    if (other.empty()) return;
    Link* first = other.head_.next_;
    Link* last = other.head_.previous_;
    other.head_.next_ = other.head_.previous_ = &other.head_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }

  void clear() {
    while (!empty()) head_.next_->unlink();
  }

  // Calls visit(T&) for each element; the visited element may unlink itself.
  template <typename Visit>
  void for_each(Visit visit) {
    for (Link* link = head_.next_; link != &head_;) {
      Link* next = link->next_;
      visit(static_cast<T&>(*link));
      link = next;
    }
  }

  // The same until visit returns true; whether it did.
  template <typename Visit>
  bool visit_until(Visit visit) {
    for (Link* link = head_.next_; link != &head_;) {
      Link* next = link->next_;
      if (visit(static_cast<T&>(*link))) return true;
      link = next;
    }
    return false;
  }

 private:
  Link head_;
};

}  // namespace weir
