// Exchange's part in mirroring: which requests are copied, and when.

#include "proxy/exchange.h"
#include "proxy/worker.h"

#include <utility>

namespace weir::proxy {

// Decided with the head, because the key of the copy's server is at hand only now, and because the
// body has to be held from its first byte.
void Exchange::mirror_choose() {
  const MirrorPlan& mirror = route_->mirror;
  if (std::uint64_t{worker_.random()} * 100 >> 32 >= mirror.percent) return;
  mirror_ = &mirror;
  const upstream::BackendPlan& plan = use_.snapshot->backends()[mirror.backend];
  if (plan.hash_source != upstream::HashSource::none) mirror_key_ = hash_key(plan);
  request_flow_.hold();
}

// The server has every byte of the request. What it was given goes to the mirror too, once.
void Exchange::mirror_request() {
  const MirrorPlan* mirror = std::exchange(mirror_, nullptr);
  if (mirror == nullptr) return;
  if (!request_flow_.repeatable()) {
    worker_.counters().mirror_too_large.add();
    return;
  }
  const net::Buffer& sent = attempt_.connection->out;
  std::string_view request(sent.data() - sent.consumed(), sent.consumed());
  request.remove_prefix(introduction_bytes_);
  worker_.mirrors().copy(use_, client_, mirror->backend, mirror_key_, request_.method, request);
}

}  // namespace weir::proxy
