#include "control/admin.h"

#include <array>
#include <string_view>
#include <utility>

#include "control/metrics.h"

namespace weir::control {
namespace {

constexpr std::string_view kIndex =
    "weir\n"
    "\n"
    "/healthz  200 while the process works\n"
    "/readyz   200 while it takes connections, 503 while it starts or drains\n"
    "/metrics  counters in Prometheus text format\n";

void answer_healthz(const AdminSources&, LocalResponse& response) { response.body = "ok\n"; }

void answer_readyz(const AdminSources& sources, LocalResponse& response) {
  const Phase phase = sources.phase();
  if (phase != Phase::serving) response.status = 503;
  switch (phase) {
    case Phase::starting: response.body = "starting\n"; break;
    case Phase::serving: response.body = "ok\n"; break;
    case Phase::draining: response.body = "draining\n"; break;
  }
}

void answer_metrics(const AdminSources& sources, LocalResponse& response) {
  response.content_type = kMetricsContentType;
  response.body = sources.metrics();
}

void answer_index(const AdminSources&, LocalResponse& response) { response.body = kIndex; }

struct Page {
  std::string_view path;
  void (*answer)(const AdminSources&, LocalResponse&);
};
constexpr std::array kPages = {
    Page{"/", answer_index},
    Page{"/healthz", answer_healthz},
    Page{"/readyz", answer_readyz},
    Page{"/metrics", answer_metrics},
};

}  // namespace

LocalHttpServer::Handler admin_pages(AdminSources sources) {
  return [sources = std::move(sources)](const LocalRequest& request, LocalResponse& response) {
    for (const Page& page : kPages) {
      if (page.path == request.path) return page.answer(sources, response);
    }
    response.status = 404;
    response.body = "404 Not Found\nThe index of what there is: /\n";
  };
}

}  // namespace weir::control
