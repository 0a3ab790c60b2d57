#include "control/admin.h"

#include <gmock/gmock.h>

namespace weir::control {
namespace {

using testing::HasSubstr;

class Admin : public testing::Test {
 protected:
  LocalResponse get(std::string_view path) {
    LocalResponse response;
    handler_({http::MethodId::get, path, ""}, response);
    return response;
  }

  Phase phase_ = Phase::serving;
  LocalHttpServer::Handler handler_ =
      admin_pages({[this] { return phase_; }, [] { return std::string("page 1\n"); }});
};

TEST_F(Admin, HealthzTellsThatTheProcessWorks) {
  for (const Phase phase : {Phase::starting, Phase::serving, Phase::draining}) {
    phase_ = phase;
    const LocalResponse response = get("/healthz");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "ok\n");
  }
}

TEST_F(Admin, ReadyzFollowsThePhase) {
  phase_ = Phase::starting;
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/readyz").body, "starting\n");
  phase_ = Phase::serving;
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ok\n");
  phase_ = Phase::draining;
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/readyz").body, "draining\n");
}

TEST_F(Admin, MetricsComeWithTheirContentType) {
  EXPECT_EQ(get("/metrics").body, "page 1\n");
  EXPECT_EQ(get("/metrics").content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(Admin, TheIndexNamesEveryPage) {
  const std::string index = get("/").body;
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    EXPECT_THAT(index, HasSubstr(path));
    EXPECT_EQ(get(path).status, 200);
  }
}

TEST_F(Admin, EverythingElseIsNotThere) {
  for (const char* path : {"/metrics/", "/Metrics", "//metrics", "/metrics%20", "/favicon.ico"}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
}

}  // namespace
}  // namespace weir::control
