// What a machine does not have, a configuration may not ask for.
#include "control/machine_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct MachineCheck : testing::Test {
  MachineCheck() {
    config.listeners.emplace_back().name = "web";
    config.backends.emplace_back().name = "app";
  }
  [[nodiscard]] std::vector<config::Diagnostic> check(
      std::string_view allowed = "reno cubic\n") const {
    return check_congestion(config, "weir.toml", allowed);
  }
  config::Config config;
};

TEST_F(MachineCheck, WhoAsksForNothingGetsIt) { EXPECT_THAT(check(), IsEmpty()); }

TEST_F(MachineCheck, WhatIsAllowedIs) {
  config.listeners[0].congestion = "reno";
  config.backends[0].congestion = "cubic";
  EXPECT_THAT(check(), IsEmpty());
}

TEST_F(MachineCheck, WhatIsNotAllowedIsAnErrorThatSaysWhatIs) {
  config.listeners[0].congestion = "cub";
  config.backends[0].congestion = "bbr";
  const auto found = check();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].severity(), config::Severity::error);
  EXPECT_EQ(found[0].message, "[listener.web] congestion: this machine does not allow `cub`");
  EXPECT_THAT(found[1].message, HasSubstr("[backend.app]"));
  EXPECT_THAT(found[1].help, HasSubstr("it allows: reno cubic"));
  EXPECT_THAT(found[1].help, HasSubstr("=\"reno cubic bbr\""));
}

TEST_F(MachineCheck, WhereNobodyKnowsWhatIsAllowedEverythingIs) {
  config.listeners[0].congestion = "bbr";
  EXPECT_THAT(check(""), IsEmpty());
}

}  // namespace
}  // namespace weir::control
