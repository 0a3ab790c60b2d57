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

TEST_F(MachineCheck, MoreConnectionsThanThereIsRoomForAreAWarning) {
  const Room room = {.workers = 4, .descriptor_limit = 20'000};
  config.listeners[0].max_connections = 9'974;
  EXPECT_THAT(check_room(config, "weir.toml", room), SizeIs(0));
  config.listeners[0].max_connections = 9'975;
  const auto found = check_room(config, "weir.toml", room);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].severity(), config::Severity::warning);
  EXPECT_EQ(found[0].file, "weir.toml");
  // In the words of the start.
  EXPECT_EQ(found[0].message, connections_max(config.listeners[0], config.listeners, room).error());
  EXPECT_THAT(found[0].message, HasSubstr("web: max_connections = 9975 does not fit: the limit of "
                                          "20000 open files leaves room for 9974"));
  EXPECT_THAT(found[0].help, HasSubstr("does not start"));
}

TEST_F(MachineCheck, ListenersShareTheRoom) {
  const Room room = {.workers = 1, .descriptor_limit = 1'024};
  config.listeners.emplace_back().name = "other";
  for (config::Listener& listener : config.listeners) listener.max_connections = 300;
  EXPECT_THAT(check_room(config, "weir.toml", room), SizeIs(1));
  config.listeners[0].max_connections.reset();
  EXPECT_THAT(check_room(config, "weir.toml", room), IsEmpty());
}

}  // namespace
}  // namespace weir::control
