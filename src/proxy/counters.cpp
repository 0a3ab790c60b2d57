#include "proxy/counters.h"

namespace weir::proxy {

const char* to_string(CloseReason reason) {
  switch (reason) {
    case CloseReason::client_finished: return "client_finished";
    case CloseReason::client_asked: return "client_asked";
    case CloseReason::server_framing: return "server_framing";
    case CloseReason::relay_finished: return "relay_finished";
    case CloseReason::server_broken: return "server_broken";
    case CloseReason::crowded: return "crowded";
    case CloseReason::idle_timeout: return "idle_timeout";
    case CloseReason::answered_early: return "answered_early";
    case CloseReason::refused: return "refused";
    case CloseReason::answer_cut_short: return "answer_cut_short";
    case CloseReason::client_gone: return "client_gone";
    case CloseReason::client_stalled: return "client_stalled";
    case CloseReason::draining: return "draining";
    case CloseReason::no_memory: return "no_memory";
  }
  return "?";
}

}  // namespace weir::proxy
