#include "control/demo_servers.h"

#include <utility>

#include "os/os.h"
#include "os/process.h"

namespace weir::control {
namespace {

struct Speed {
  const char* name;
  std::uint64_t delay_ms;
};
constexpr std::array<Speed, DemoServers::kCount> kSpeeds = {{
    {"fast", 0},
    {"medium", 20},
    {"slow", 80},
}};

constexpr int kBacklog = 1024;
// A load generator may be pointed at the demo: 80 ms at 10,000 requests per second is 800.
constexpr LocalHttpLimits kLimits = {.connections_max = 4096};

std::string cannot_listen(const char* name, os::IoStatus status) {
  return "cannot listen on 127.0.0.1 for the " + std::string(name) +
         " demo server: " + os::to_string(status);
}

}  // namespace

DemoServer::DemoServer(loop::Loop& loop, const char* name, std::uint64_t delay_ms,
                       os::Fd listening_socket)
    : name_(name),
      delay_ms_(delay_ms),
      port_(os::bound_port(listening_socket)),
      http_(std::make_unique<LocalHttpServer>(
          loop, std::move(listening_socket),
          [this](const LocalRequest&, LocalResponse& response) { answer(response); }, kLimits)) {}

void DemoServer::answer(LocalResponse& response) {
  answered_.add();
  response.delay_ms = delay_ms_;
  response.body = "This is the " + std::string(name_) + " server. It takes " +
                  std::to_string(delay_ms_) + " ms for an answer; this is number " +
                  std::to_string(answered_.read()) + ".\n";
}

Result<std::unique_ptr<DemoServers>, std::string> DemoServers::start() {
  std::unique_ptr<DemoServers> demo(new DemoServers);
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto& [name, delay_ms] = kSpeeds[i];
    auto socket = os::listen_on(*os::Address::ip("127.0.0.1", 0), os::Share::first, kBacklog);
    if (socket.status != os::IoStatus::done) return Err(cannot_listen(name, socket.status));
    demo->servers_[i] =
        std::make_unique<DemoServer>(demo->loop_, name, delay_ms, std::move(socket.fd));
    if (!demo->servers_[i]->http_->start()) {
      return Err(cannot_listen(name, os::IoStatus::no_memory));
    }
  }
  demo->thread_ = os::start_thread("weir-demo", -1, [&servers = *demo] { servers.run(); });
  return demo;
}

void DemoServers::run() {
  while (!stop_.delivered) loop_.turn();
}

void DemoServers::stop() {
  if (!thread_.joinable()) return;
  loop_.mailbox().post(stop_);
  thread_.join();
  for (const auto& server : servers_) server->http_.reset();
}

}  // namespace weir::control
