#include "balance/hash_key.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::balance {
namespace {

TEST(HashKey, IsTheWellKnownHash) {
  // From the reference library (libxxhash 0.8.1).
  EXPECT_EQ(hash_key(""), 0xEF46'DB37'51D8'E999);
  EXPECT_EQ(hash_key("a"), 0xD24E'C4F1'A98C'6E5B);
  EXPECT_EQ(hash_key("abc"), 0x44BC'2CF5'AD77'0999);
  EXPECT_EQ(hash_key("xxhash"), 0x32DD'3895'2C4B'C720);
  EXPECT_EQ(hash_key("xxhash", 20'141'025), 0xB559'B98D'844E'0635);
}

TEST(HashKey, AtEveryBorderOfItsSteps) {
  struct Row {
    std::size_t length;
    std::uint64_t seed_0;
    std::uint64_t seed_1;
  };
  constexpr Row kRows[] = {
      {0, 0xef46db3751d8e999, 0xd5afba1336a3be4b},   {1, 0x8a4127811b21e730, 0x6ec2195ffcaa3025},
      {3, 0xb6e6c910c2fd373a, 0x9a065ab0264d7748},   {4, 0x22eda2cf6af4c124, 0xe5adca577536f94f},
      {5, 0x1da48e4b4cafab76, 0x6b9894b1277123d2},   {7, 0x34084d91a233a751, 0x7ffa975fb8c68385},
      {8, 0xc6f1803a5e0b3222, 0x51912278ff8a837c},   {11, 0xa295d00465199f0a, 0xec539c53d66705e4},
      {12, 0x9178b724dce384c0, 0x5f8e24fc05331b81},  {16, 0xafe8f989a0735a8e, 0x8c611a380d0938ca},
      {31, 0x6ab1c40e29f50073, 0x4251c73e9ad1a2c3},  {32, 0x5a0756fbe9ecd3d1, 0xa4339581310edcc0},
      {33, 0xdc50cdc37bb9c183, 0x5bcef87b90a7fd1d},  {39, 0xe6b392c5985d77ab, 0x37684f24839f37d7},
      {63, 0x10dd94885c71894a, 0x89b6fcff330b59d9},  {64, 0x90083da9cdb9d795, 0x6049244348d73c64},
      {100, 0xd248bfc5208b0b16, 0xd7413414aad433f3}, {199, 0x39a7174dc3908d4b, 0xdae9de060769192},
  };
  std::string bytes;
  for (int i = 0; i < 200; ++i) bytes.push_back(static_cast<char>(i * 7 + 1));
  for (const Row& row : kRows) {
    const std::string_view input = std::string_view(bytes).substr(0, row.length);
    EXPECT_EQ(hash_key(input), row.seed_0) << row.length;
    EXPECT_EQ(hash_key(input, 1), row.seed_1) << row.length;
  }
}

}  // namespace
}  // namespace weir::balance
