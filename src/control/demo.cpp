#include "control/demo.h"

#include <cstdio>
#include <string>
#include <utility>

#include "control/demo_servers.h"
#include "control/program.h"
#include "os/process.h"

namespace weir::control {
namespace {

constexpr std::uint16_t kDemoPort = 8080;
constexpr int kPortsToTry = 20;

// The port asked for; without one, the first free one from 8080 on.
Result<std::uint16_t, std::string> choose_port(const config::Command& command) {
  for (int i = 0; i < kPortsToTry; ++i) {
    const auto port =
        static_cast<std::uint16_t>(command.demo_port ? *command.demo_port : kDemoPort + i);
    const os::SocketResult probe =
        os::listen_on(*os::Address::ip("127.0.0.1", port), os::Share::first, 1);
    if (probe.status == os::IoStatus::done) return os::bound_port(probe.fd);
    if (command.demo_port) {
      return Err("cannot listen on 127.0.0.1:" + std::to_string(port) + ": " +
                 os::to_string(probe.status) + "; choose another --port, or 0 for any");
    }
  }
  return Err(std::string("ports 8080 to 8099 of 127.0.0.1 are all taken; choose one with --port"));
}

void print_intro(const config::Command& command, const DemoServers& servers) {
  const std::string url = "http://" + command.config.listeners[0].bind[0].text();
  std::printf("weir demo: three servers of different speed behind one address\n\n");
  for (std::size_t i = 0; i < DemoServers::kCount; ++i) {
    const DemoServer& server = servers.server(i);
    std::printf("  server  %-7s http://127.0.0.1:%u/  answers after %llu ms\n", server.name(),
                unsigned{server.port()}, static_cast<unsigned long long>(server.delay_ms()));
  }
  std::printf("\n  weir    %s/         <- open this, or:\n\n", url.c_str());
  std::printf("    curl %s/\n", url.c_str());
  std::printf("    for i in 1 2 3 4 5 6; do curl -s %s/; done\n", url.c_str());
  if (command.config.admin) {
    std::printf("\n  metrics http://%s/metrics\n", command.config.admin->text().c_str());
  }
  std::printf("\nCtrl-C stops it.\n\n");
  std::fflush(stdout);
}

// One line: rewritten in place on a terminal, appended when something changed elsewhere.
class LiveLine {
 public:
  void print(const Program& program, const DemoServers& servers) {
    const std::uint64_t requests = program.requests();
    if (!terminal_ && requests == last_requests_) return;
    std::printf("%srequests %llu (%llu/s)", terminal_ ? "\r\033[K" : "",
                static_cast<unsigned long long>(requests),
                static_cast<unsigned long long>(requests - last_requests_));
    for (std::size_t i = 0; i < DemoServers::kCount; ++i) {
      std::printf("  %s %llu", servers.server(i).name(),
                  static_cast<unsigned long long>(servers.server(i).answered()));
    }
    std::printf("  errors %llu%s", static_cast<unsigned long long>(program.errors()),
                terminal_ ? "" : "\n");
    std::fflush(stdout);
    last_requests_ = requests;
  }
  void finish() {
    if (terminal_) std::printf("\n");
  }

 private:
  bool terminal_ = os::is_terminal(1);
  std::uint64_t last_requests_ = 0;
};

int refuse(const std::string& error) {
  std::fprintf(stderr, "weir: %s\n", error.c_str());
  return config::kExitRefused;
}

}  // namespace

int run_demo(config::Command command, os::Fd signals) {
  const Result<std::uint16_t, std::string> port = choose_port(command);
  if (!port) return refuse(port.error());
  command.config.listeners[0].bind = {{config::Endpoint::Family::ipv4, "127.0.0.1", *port}};
  Result<std::unique_ptr<DemoServers>, std::string> servers = DemoServers::start();
  if (!servers) return refuse(servers.error());
  for (std::size_t i = 0; i < DemoServers::kCount; ++i) {
    const DemoServer& server = (*servers)->server(i);
    config::Server entry;
    entry.name = server.name();
    entry.address = {config::Endpoint::Family::ipv4, "127.0.0.1", server.port()};
    command.config.backends[0].servers.push_back(std::move(entry));
  }
  Result<std::unique_ptr<Program>, std::string> program =
      Program::start(command.config, {}, std::move(signals));
  if (!program) return refuse(program.error());
  print_intro(command, **servers);
  LiveLine line;
  const int code = (*program)->run([&] { line.print(**program, **servers); });
  line.finish();
  return code;
}

}  // namespace weir::control
