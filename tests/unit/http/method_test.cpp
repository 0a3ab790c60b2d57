#include "http/method.h"

#include <gtest/gtest.h>

#include "http/status.h"

namespace weir::http {
namespace {

// RFC 9110 9.1: case-sensitive.
TEST(Method, Names) {
  EXPECT_EQ(method_id("GET"), MethodId::get);
  EXPECT_EQ(method_id("HEAD"), MethodId::head);
  EXPECT_EQ(method_id("POST"), MethodId::post);
  EXPECT_EQ(method_id("PUT"), MethodId::put);
  EXPECT_EQ(method_id("DELETE"), MethodId::delete_);
  EXPECT_EQ(method_id("OPTIONS"), MethodId::options);
  EXPECT_EQ(method_id("TRACE"), MethodId::trace);
  EXPECT_EQ(method_id("CONNECT"), MethodId::connect);
  EXPECT_EQ(method_id("PATCH"), MethodId::patch);
  for (const char* other : {"", "get", "GETS", "GE", "POSt", "PURGE", "PROPFIND", "DELETES"}) {
    EXPECT_EQ(method_id(other), MethodId::other) << other;
  }
}

// RFC 9110 9.2.1 and 9.2.2.
TEST(Method, SafeAndIdempotent) {
  for (const MethodId method :
       {MethodId::get, MethodId::head, MethodId::options, MethodId::trace}) {
    EXPECT_TRUE(is_safe(method));
    EXPECT_TRUE(is_idempotent(method));
  }
  for (const MethodId method : {MethodId::put, MethodId::delete_}) {
    EXPECT_FALSE(is_safe(method));
    EXPECT_TRUE(is_idempotent(method));
  }
  for (const MethodId method :
       {MethodId::post, MethodId::patch, MethodId::connect, MethodId::other}) {
    EXPECT_FALSE(is_safe(method));
    EXPECT_FALSE(is_idempotent(method));
  }
}

// RFC 9112 6.3 step 1.
TEST(Status, Bodiless) {
  for (unsigned status = 100; status < 600; ++status) {
    const auto code = static_cast<std::uint16_t>(status);
    EXPECT_EQ(is_bodiless(code), status < 200 || status == 204 || status == 304) << status;
  }
}

}  // namespace
}  // namespace weir::http
