// CHECK(condition): aborts when the program contradicts itself. On in release builds too: a proxy
// that goes on after an impossible state hands one client's bytes to another.
//
// Never for what a peer, the kernel or an operator can cause; those have error paths.
#pragma once

namespace weir {

// Prints "file:line: CHECK failed: expression (detail)" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const char* detail);

}  // namespace weir

#define WEIR_CHECK_2(condition, detail)              \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::weir::check_failed(__FILE__, __LINE__, #condition, detail))
#define WEIR_CHECK_1(condition) WEIR_CHECK_2(condition, "")
#define WEIR_CHECK_PICK(a, b, name, ...) name
#define CHECK(...) WEIR_CHECK_PICK(__VA_ARGS__, WEIR_CHECK_2, WEIR_CHECK_1, 0)(__VA_ARGS__)
