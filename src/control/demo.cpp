#include "control/demo.h"

#include <cstdio>
#include <string>
#include <utility>

#include "control/demo_servers.h"
#include "control/listening.h"
#include "control/program.h"
#include "os/process.h"

namespace weir::control {
namespace {

constexpr std::uint16_t kDemoPort = 8080;
constexpr int kPortsToTry = 20;
// The slowest answer takes 80 ms; a browser's spare connection must not hold up a Ctrl-C.
constexpr config::Milliseconds kGrace{1000};

// The port asked for; without one, the first free one from 8080 on.
Result<std::uint16_t, std::string> choose_port(const config::Command& command) {
  for (int i = 0; i < kPortsToTry; ++i) {
    const auto port =
        static_cast<std::uint16_t>(command.demo_port ? *command.demo_port : kDemoPort + i);
    const os::SocketResult probe =
        os::listen_on(*os::Address::ip("127.0.0.1", port), os::Share::first, 1);
    if (probe.status == os::IoStatus::done) return os::bound_port(probe.fd);
    if (command.demo_port) {
      return Err(why_not_bound({config::Endpoint::Family::ipv4, "127.0.0.1", port}, probe.status) +
                 "; --port 0 takes any");
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
    std::printf("\n  metrics %s\n", how_to_ask(*command.config.admin, "/metrics").c_str());
  }
  std::printf("\nCtrl-C stops it.\n\n");
  std::fflush(stdout);
}

// One line: rewritten in place on a terminal, appended when something changed elsewhere.
class LiveLine {
 public:
  LiveLine(const Program& program, const DemoServers& servers)
      : program_(program), servers_(servers) {}

  // False when nobody reads standard output any more.
  [[nodiscard]] bool print() {
    const std::uint64_t requests = program_.requests();
    const std::string rate = std::to_string(requests - last_requests_) + "/s";
    if (program_.phase() == Phase::draining) {
      show("");  // What a terminal shows of Ctrl-C goes with it.
    } else if (terminal_ || requests != last_requests_) {
      show("requests " + std::to_string(requests) + " (" + rate + ")  " + by_server("  ") +
           "  errors " + std::to_string(program_.errors()));
    }
    last_requests_ = requests;
    return os::has_reader(1);
  }
  [[nodiscard]] std::string summary() const {
    return "demo over: " + std::to_string(program_.requests()) + " requests, " + by_server(", ") +
           ", errors " + std::to_string(program_.errors());
  }

 private:
  // "fast 3, medium 2, slow 2".
  [[nodiscard]] std::string by_server(const char* separator) const {
    std::string text;
    for (std::size_t i = 0; i < DemoServers::kCount; ++i) {
      const DemoServer& server = servers_.server(i);
      text += (i > 0 ? separator : "") + std::string(server.name()) + " " +
              std::to_string(server.answered());
    }
    return text;
  }
  void show(const std::string& text) const {
    if (terminal_) {
      // Cut at the margin: a line that is wrapped cannot be rewritten in place.
      std::printf("\r\033[K\033[?7l%s\033[?7h", text.c_str());
    } else if (!text.empty()) {
      std::printf("%s\n", text.c_str());
    }
    std::fflush(stdout);
  }

  const Program& program_;
  const DemoServers& servers_;
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
  command.config.runtime.shutdown_grace = kGrace;
  Result<std::unique_ptr<Program>, std::string> program =
      Program::start(command.config, {}, std::move(signals));
  if (!program) return refuse(program.error());
  print_intro(command, **servers);
  LiveLine line(**program, **servers);
  const int code = (*program)->run([&] { return line.print(); });
  const std::string summary = line.summary();
  program->reset();  // Its last words come before.
  std::printf("%s\n", summary.c_str());
  return code;
}

}  // namespace weir::control
