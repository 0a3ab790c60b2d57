#include "http/upgrade.h"

#include <gtest/gtest.h>

#include "http/list.h"

namespace weir::http {
namespace {

TEST(UpgradeOffer, IsAListOfWhatWasAdded) {
  UpgradeOffer offer;
  EXPECT_TRUE(offer.empty());
  offer.add("websocket");
  offer.add("SPDY/3.1");
  EXPECT_FALSE(offer.empty());
  EXPECT_EQ(offer.text(), "websocket, SPDY/3.1");
}

TEST(UpgradeOffer, HasEachOnce) {
  UpgradeOffer offer;
  for (const char* protocol : {"a", "b", "A", "a", "B"}) offer.add(protocol);
  EXPECT_EQ(offer.text(), "a, b");
}

TEST(UpgradeOffer, LeavesOutWhatDoesNotFit) {
  for (std::size_t size = 1; size <= 70; ++size) {
    UpgradeOffer offer;
    offer.add("ab");
    offer.add(std::string(size, 'x'));
    const bool fits = size <= UpgradeOffer::kBytesMax - 4;
    EXPECT_EQ(offer.text(), fits ? "ab, " + std::string(size, 'x') : "ab") << size;
    offer.add("c");
    EXPECT_EQ(has_element(offer.text(), "c"), !fits || size <= UpgradeOffer::kBytesMax - 7) << size;
  }
}

TEST(UpgradeOffer, TakesOneOfAllItsRoom) {
  UpgradeOffer offer;
  offer.add(std::string(UpgradeOffer::kBytesMax + 1, 'x'));
  EXPECT_TRUE(offer.empty());
  offer.add(std::string(UpgradeOffer::kBytesMax, 'x'));
  EXPECT_EQ(offer.text(), std::string(UpgradeOffer::kBytesMax, 'x'));
}

TEST(List, HasElement) {
  EXPECT_TRUE(has_element("a, B ,c", "b"));
  EXPECT_TRUE(has_element("a, b", "A"));
  EXPECT_TRUE(has_element("a,b", "b"));
  EXPECT_FALSE(has_element("ab, c", "a"));
  EXPECT_FALSE(has_element("ab, c", "ab, c"));
  EXPECT_FALSE(has_element("", "a"));
}

}  // namespace
}  // namespace weir::http
