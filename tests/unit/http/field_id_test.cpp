#include "http/field_id.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "http/field_table.h"
#include "http/scan.h"

namespace weir::http {
namespace {

std::string in_upper_case(std::string_view text) {
  std::string out(text);
  for (char& byte : out) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - 32);
  }
  return out;
}

TEST(FieldId, EveryNameInEveryCase) {
  for (std::size_t i = 0; i < kFieldIdCount; ++i) {
    const auto id = static_cast<FieldId>(i);
    const std::string_view name = field_name(id);
    if (id == FieldId::other || id == FieldId::x_forwarded_other) {
      EXPECT_TRUE(name.empty());
      continue;
    }
    EXPECT_EQ(field_id(name), id) << name;
    EXPECT_EQ(field_id(in_upper_case(name)), id) << name;
    std::string lower(name);
    for (char& byte : lower) byte = scan::lower(byte);
    EXPECT_EQ(field_id(lower), id) << name;
  }
}

// Any one byte changed, removed or added makes another name.
TEST(FieldId, NamesThatMerelyResembleOne) {
  for (std::size_t i = 1; i < kFieldIdCount; ++i) {
    const auto id = static_cast<FieldId>(i);
    const std::string name(field_name(id));
    if (name.empty() || name.starts_with("X-")) continue;
    EXPECT_NE(field_id(name + "s"), id) << name;
    EXPECT_NE(field_id("x" + name), id) << name;
    EXPECT_NE(field_id(name.substr(1)), id) << name;
    EXPECT_NE(field_id(name.substr(0, name.size() - 1)), id) << name;
    for (std::size_t at = 0; at < name.size(); ++at) {
      for (const char byte : std::string_view("!#$%&'*+-.^_`|~09azAZ")) {
        std::string changed = name;
        changed[at] = byte;
        EXPECT_EQ(field_id(changed) == id, scan::equals_nocase(changed, name)) << changed;
      }
    }
  }
}

// HeadParser believes the list that the bytes of a name are those of a token.
TEST(FieldTable, NoByteStandsForAnother) {
  for (const field_table::Known& known : field_table::kKnown) {
    std::string changed(known.spelling);
    for (char& byte : changed) {
      const char right = byte;
      for (int wrong = 0; wrong < 256; ++wrong) {
        byte = static_cast<char>(wrong);
        EXPECT_EQ(field_table::find(changed).has_value(), scan::lower(byte) == scan::lower(right))
            << known.spelling << ' ' << wrong;
      }
      byte = right;
    }
  }
}

TEST(FieldId, TheForwardingFamilyInEverySpelling) {
  EXPECT_EQ(field_id("x-forwarded-for"), FieldId::x_forwarded_for);
  EXPECT_EQ(field_id("X-Forwarded-Port"), FieldId::x_forwarded_other);
  EXPECT_EQ(field_id("X_FORWARDED_FOR"), FieldId::x_forwarded_other);
  EXPECT_EQ(field_id("X-Forwarded_Proto"), FieldId::x_forwarded_other);
  EXPECT_EQ(field_id("X-Forwarded-"), FieldId::x_forwarded_other);
  EXPECT_EQ(field_id("X-Forwarded"), FieldId::other);
  EXPECT_EQ(field_id("X_Real-IP"), FieldId::x_real_ip);
  EXPECT_EQ(field_id("X-Real-IPs"), FieldId::other);
}

TEST(FieldId, ShortNames) {
  EXPECT_EQ(field_id("a"), FieldId::other);
  EXPECT_EQ(field_id(""), FieldId::other);
  EXPECT_EQ(field_id("te"), FieldId::te);
}

TEST(FieldId, RandomNamesAreOther) {
  EXPECT_TRUE(rc::check("a name is known exactly when it is in the list", [] {
    const auto name =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("aeiltvagx-CT")));
    const FieldId id = field_id(name);
    if (id != FieldId::other && id != FieldId::x_forwarded_other) {
      RC_ASSERT(scan::equals_nocase(name, field_name(id)));
    }
  }));
}

TEST(FieldSet, HoldsWhatWasPutIn) {
  constexpr FieldSet set = FieldSet(FieldId::host, FieldId::www_authenticate);
  static_assert(set.contains(FieldId::host) && set.contains(FieldId::www_authenticate));
  static_assert(!set.contains(FieldId::other));
  EXPECT_TRUE(set.intersects(FieldSet(FieldId::host)));
  EXPECT_FALSE(set.intersects(FieldSet(FieldId::te)));
  EXPECT_TRUE((set | FieldSet(FieldId::te)).contains(FieldId::te));
}

}  // namespace
}  // namespace weir::http
