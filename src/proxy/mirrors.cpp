#include "proxy/mirrors.h"

#include "proxy/worker.h"

namespace weir::proxy {

void Mirrors::copy(SnapshotUse& use, Session& client, std::uint32_t backend, std::uint64_t key,
                   http::MethodId method, std::string_view request) {
  Mirror* mirror = worker_.draining() ? nullptr : slab_.create(worker_, use, backend, method);
  if (mirror != nullptr && mirror->begin(client, key, request)) {
    under_way_.push_back(*mirror);
    worker_.counters().mirrored.add();
    return;
  }
  if (mirror != nullptr) slab_.destroy(*mirror);
  worker_.counters().mirror_skipped.add();
}

void Mirrors::abandon_all() {
  under_way_.for_each([](Mirror& mirror) { mirror.abandon(); });
}

}  // namespace weir::proxy
