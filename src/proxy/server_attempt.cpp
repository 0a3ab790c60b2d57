#include "proxy/server_attempt.h"

namespace weir::proxy {

ProxyError obstacle(upstream::ServerChoice::Outcome outcome, ProxyError before) {
  using Chosen = upstream::ServerChoice::Outcome;
  switch (outcome) {
    case Chosen::broken: return ProxyError::circuit_open;
    case Chosen::queue_full:
    case Chosen::displaced: return ProxyError::queue_full;
    case Chosen::standing_queue: return ProxyError::queue_dropped;
    case Chosen::chosen:
    case Chosen::queued:
    case Chosen::none_left: break;
  }
  return before;
}

}  // namespace weir::proxy
