// What may be shown on a terminal.
#pragma once

#include <string_view>

#include "base/check.h"
#include "config/text.h"

namespace weir::fuzz {

// UTF-8 without controls: C0, DEL, C1, those that turn text around. Line ends are fine in texts of
// several lines, and with `colour` also the sequences that set one.
inline void check_printable(std::string_view text, bool lines, bool colour = false) {
  while (!text.empty()) {
    const config::Decoded next = config::decode_utf8(text);
    CHECK(next.valid, "no UTF-8");
    const bool control = next.code < 0x20 || (next.code >= 0x7f && next.code < 0xa0) ||
                         (next.code >= 0x202a && next.code <= 0x202e) ||
                         (next.code >= 0x2066 && next.code <= 0x2069);
    const bool allowed = (lines && next.code == '\n') || (colour && text.starts_with("\x1b["));
    CHECK(!control || allowed, "a control byte");
    text.remove_prefix(next.bytes);
  }
}

}  // namespace weir::fuzz
