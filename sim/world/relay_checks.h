// What must hold of relays beyond the bytes themselves, which their ends compare as they come.
#pragma once

#include <string_view>

#include "sim/world/ledger.h"
#include "sim/world/relay_ledger.h"

namespace weir::sim {

// A line of the access log. True when it is about a relay: then it is judged.
bool take_relay_line(Ledger& ledger, RelayLedger& relays, std::string_view line);

// After the run, or a part of it: everything has ended, and how agrees on both sides.
void judge_relays(Ledger& ledger, RelayLedger& relays);

}  // namespace weir::sim
