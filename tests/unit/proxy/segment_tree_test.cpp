#include "proxy/segment_tree.h"

#include <gtest/gtest.h>

#include "http/scan.h"

namespace weir::proxy {
namespace {

bool same(std::string_view a, std::string_view b) { return a == b; }
using Tree = SegmentTree<int, same>;

TEST(SegmentTree, AnEmptyOneHasNoChildren) {
  Tree tree;
  const Tree::Id root = tree.add_root();
  EXPECT_EQ(tree.child(root, ""), Tree::kNone);
  EXPECT_EQ(tree.child(root, "a"), Tree::kNone);
}

TEST(SegmentTree, AChildBelongsToItsParent) {
  Tree tree;
  const Tree::Id one = tree.add_root();
  const Tree::Id two = tree.add_root();
  const Tree::Id child = tree.add(one, "a");
  tree[child] = 7;
  EXPECT_EQ(tree.add(one, "a"), child) << "not a second time";
  EXPECT_EQ(tree.child(one, "a"), child);
  EXPECT_EQ(tree.child(two, "a"), Tree::kNone);
  EXPECT_EQ(tree.child(child, "a"), Tree::kNone);
  EXPECT_EQ(std::as_const(tree)[child], 7);
}

// Every length round the words that are hashed, and segments that begin or end alike.
TEST(SegmentTree, FindsEachOfMany) {
  Tree tree;
  const Tree::Id root = tree.add_root();
  std::vector<std::string> segments;
  for (std::size_t length = 0; length <= 40; ++length) {
    segments.push_back(std::string(length, 'a'));
    if (length > 0) segments.push_back(std::string(length - 1, 'a') + "b");
    if (length > 1) segments.push_back("b" + std::string(length - 1, 'a'));
  }
  for (int i = 0; i < 3'000; ++i) segments.push_back("/" + std::to_string(i));
  std::vector<Tree::Id> ids;
  for (const std::string& segment : segments) ids.push_back(tree.add(root, segment));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    ASSERT_EQ(tree.child(root, segments[i]), ids[i]) << segments[i];
  }
  EXPECT_EQ(tree.child(root, std::string(41, 'a')), Tree::kNone);
  EXPECT_EQ(tree.child(root, "/3000"), Tree::kNone);
  EXPECT_EQ(tree.child(root, std::string(7, 'a') + '\0'), Tree::kNone);
}

TEST(SegmentTree, CaseIsUpToTheComparison) {
  Tree exact;
  SegmentTree<int, http::scan::equals_lower> folding;
  const Tree::Id parent = exact.add_root();
  const Tree::Id root = folding.add_root();
  const Tree::Id lower = exact.add(parent, "example-host");
  EXPECT_EQ(exact.child(parent, "Example-Host"), Tree::kNone);
  EXPECT_NE(exact.add(parent, "Example-Host"), lower);
  const Tree::Id folded = folding.add(root, "example-host");
  EXPECT_EQ(folding.child(root, "eXAMPLE-hosT"), folded);
  EXPECT_EQ(folding.child(root, "example\rhost"), Tree::kNone) << "no letter: 0x0d and 0x2d";
}

}  // namespace
}  // namespace weir::proxy
