#include "base/intrusive_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "base/prng.h"

namespace weir {
namespace {

struct FirstTag;
struct SecondTag;

struct Item : ListLink<FirstTag>, ListLink<SecondTag> {
  explicit Item(int number) : value(number) {}
  [[nodiscard]] bool in_first() const { return ListLink<FirstTag>::linked(); }
  void leave_first() { ListLink<FirstTag>::unlink(); }
  int value;
};
using First = IntrusiveList<Item, FirstTag>;
using Second = IntrusiveList<Item, SecondTag>;

template <typename List>
std::vector<int> values(List& list) {
  std::vector<int> seen;
  list.for_each([&](Item& item) { seen.push_back(item.value); });
  return seen;
}

TEST(IntrusiveList, EmptyListHasNoFrontOrBack) {
  First list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.back(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
}

TEST(IntrusiveList, KeepsOrderAtBothEnds) {
  Item a(1), b(2), c(3);
  First list;
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_THAT(values(list), testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(list.front(), &a);
  EXPECT_EQ(list.back(), &c);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_FALSE(a.in_first());
  EXPECT_THAT(values(list), testing::ElementsAre(2, 3));
}

TEST(IntrusiveList, LinksOfOneElementAreIndependent) {
  Item item(1);
  First first;
  Second second;
  first.push_back(item);
  second.push_back(item);
  item.leave_first();
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(second.front(), &item);
}

TEST(IntrusiveList, UnlinkTwiceIsHarmless) {
  Item a(1), b(2);
  First list;
  list.push_back(a);
  list.push_back(b);
  a.leave_first();
  a.leave_first();
  EXPECT_THAT(values(list), testing::ElementsAre(2));
}

TEST(IntrusiveList, ADyingElementLeavesItsList) {
  Item a(1), c(3);
  First list;
  list.push_back(a);
  {
    Item b(2);
    list.push_back(b);
    list.push_back(c);
  }
  EXPECT_THAT(values(list), testing::ElementsAre(1, 3));
}

TEST(IntrusiveList, ADyingListLetsItsElementsGo) {
  Item a(1), b(2);
  {
    First list;
    list.push_back(a);
    list.push_back(b);
  }
  EXPECT_FALSE(a.in_first());
  EXPECT_FALSE(b.in_first());
  First other;
  other.push_back(a);
  EXPECT_EQ(other.front(), &a);
}

TEST(IntrusiveList, TheVisitedElementMayUnlinkItself) {
  Item a(1), b(2), c(3), d(4);
  First list;
  for (Item* item : {&a, &b, &c, &d}) list.push_back(*item);
  list.for_each([](Item& item) {
    if (item.value % 2 == 0) item.leave_first();
  });
  EXPECT_THAT(values(list), testing::ElementsAre(1, 3));
}

TEST(IntrusiveList, AVisitEndsWhereItIsTold) {
  Item a(1), b(2), c(3);
  First list;
  for (Item* item : {&a, &b, &c}) list.push_back(*item);
  int seen = 0;
  EXPECT_TRUE(list.visit_until([&](Item& item) {
    ++seen;
    item.leave_first();
    return item.value == 2;
  }));
  EXPECT_EQ(seen, 2);
  EXPECT_THAT(values(list), testing::ElementsAre(3));
  EXPECT_FALSE(list.visit_until([](const Item&) { return false; }));
}

TEST(IntrusiveList, TakeAllAppendsInOrderAndEmptiesTheOther) {
  Item a(1), b(2), c(3);
  First left;
  First right;
  left.take_all(right);  // Nothing from nothing.
  EXPECT_TRUE(left.empty());
  right.push_back(b);
  right.push_back(c);
  left.push_back(a);
  left.take_all(right);
  EXPECT_TRUE(right.empty());
  EXPECT_THAT(values(left), testing::ElementsAre(1, 2, 3));
  b.leave_first();  // Links of moved elements point into the new list.
  right.take_all(left);
  EXPECT_TRUE(left.empty());
  EXPECT_THAT(values(right), testing::ElementsAre(1, 3));
}

TEST(IntrusiveListDeathTest, AnElementCannotBeInTwoListsOfOneTag) {
  Item item(1);
  First one;
  First two;
  one.push_back(item);
  EXPECT_DEATH(two.push_back(item), "in a list already");
}

// Random operations on two lists against std::deque.
TEST(IntrusiveList, BehavesLikeADeque) {
  Prng random(11);
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 64; ++i) items.push_back(std::make_unique<Item>(i));
  First lists[2];
  std::deque<int> model[2];
  const auto forget = [&](int value) {
    for (auto& numbers : model) std::erase(numbers, value);
  };
  for (int step = 0; step < 20'000; ++step) {
    Item& item = *items[random.bounded(items.size())];
    const std::size_t side = random.bounded(2);
    switch (random.bounded(8)) {
      case 0:
        item.leave_first();
        forget(item.value);
        break;
      case 1:
        if (Item* popped = lists[side].pop_front()) {
          ASSERT_EQ(popped->value, model[side].front());
          model[side].pop_front();
        }
        break;
      case 2:
        if (random.bounded(16) != 0) break;
        lists[side].take_all(lists[1 - side]);
        model[side].insert(model[side].end(), model[1 - side].begin(), model[1 - side].end());
        model[1 - side].clear();
        break;
      case 3:
        if (item.in_first()) break;
        lists[side].push_front(item);
        model[side].push_front(item.value);
        break;
      default:
        if (item.in_first()) break;
        lists[side].push_back(item);
        model[side].push_back(item.value);
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(lists[i].empty(), model[i].empty());
      ASSERT_THAT(values(lists[i]), testing::ElementsAreArray(model[i]));
    }
  }
}

}  // namespace
}  // namespace weir
