#include "wire/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::wire {
namespace {

std::uint32_t crc_of(std::string_view bytes) {
  Crc32c crc;
  crc.add(bytes);
  return crc.value();
}

// RFC 3720 B.4, whose bytes are in the order of the network.
TEST(Crc32c, ExamplesOfTheRfc) {
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62a8ab43U);
  std::string rising;
  for (char byte = 0; byte < 32; ++byte) rising += byte;
  EXPECT_EQ(crc_of(rising), 0x46dd794eU);
  EXPECT_EQ(crc_of(std::string(rising.rbegin(), rising.rend())), 0x113fdb5cU);
  EXPECT_EQ(crc_of("123456789"), 0xe3069283U);
  EXPECT_EQ(crc_of(""), 0U);
}

TEST(Crc32c, PiecesGiveTheSame) {
  Crc32c crc;
  crc.add("1234");
  crc.add("");
  crc.add("56789");
  EXPECT_EQ(crc.value(), crc_of("123456789"));
}

}  // namespace
}  // namespace weir::wire
