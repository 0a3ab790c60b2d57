// The text of a configuration file: any bytes give a configuration that keeps its promises, or at
// least one error. Every diagnostic has its place in the file, and neither way of showing it lets a
// byte of the file drive the terminal.
#include <algorithm>
#include <set>
#include <string>

#include "base/check.h"
#include "config/http_words.h"
#include "config/load.h"
#include "config/match_rules.h"
#include "config/text.h"
#include "input.h"
#include "printable.h"

namespace {

using namespace weir;
using config::Diagnostic;

// The text with a byte order mark is a text without one.
std::size_t count_lines(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
}

void check_place(const Diagnostic& diagnostic, std::size_t lines) {
  const config::Span& span = diagnostic.span;
  CHECK(!diagnostic.message.empty());
  CHECK(span.line <= lines);
  if (span.line == 0) return;
  CHECK(span.column >= 1 && span.length >= 1);
  CHECK(diagnostic.source_column >= 1 && diagnostic.source_column <= span.column);
  // At most one behind the last character, where something is missing.
  std::string_view source = diagnostic.source;
  std::uint32_t end = diagnostic.source_column;
  for (; !source.empty(); ++end) source.remove_prefix(config::decode_utf8(source).bytes);
  CHECK(span.column <= end);
}

void check_diagnostics(const std::vector<Diagnostic>& diagnostics, std::size_t lines) {
  for (const Diagnostic& diagnostic : diagnostics) check_place(diagnostic, lines);
  fuzz::check_printable(config::render_text(diagnostics, {}), true);
  fuzz::check_printable(config::render_text(diagnostics, {true, "not started"}), true, true);
  fuzz::check_printable(config::render_json(diagnostics), true);
}

using Names = std::set<std::string>;

void check_keepalive(config::Milliseconds time) {
  CHECK(time.count() >= 0 && time.count() % 1'000 == 0 && time <= std::chrono::seconds{32'767});
}

void check_backend(const config::Backend& backend) {
  CHECK(config::is_name(backend.name) && !backend.servers.empty() && backend.send_proxy <= 2);
  check_keepalive(backend.tcp_keepalive);
  Names servers;
  for (const config::Server& server : backend.servers) CHECK(servers.insert(server.name).second);
}

// There is somewhere to go for what arrives at a TCP listener; only those know a backend.
void check_listener(const config::Listener& listener, const config::Config& config,
                    const Names& backends) {
  CHECK(config::is_name(listener.name) && !listener.bind.empty());
  check_keepalive(listener.tcp_keepalive);
  const bool routed = std::ranges::any_of(
      config.routes, [&](const config::Route& route) { return route.serves(listener); });
  const bool tcp = listener.mode == config::ListenerMode::tcp;
  CHECK(listener.backend.empty() ? !tcp || routed : tcp && backends.contains(listener.backend));
}

void check_route(const config::Route& route, const config::Config& config, const Names& backends) {
  CHECK(!route.backends.empty());
  for (const config::RouteBackend& share : route.backends) CHECK(backends.contains(share.backend));
  const bool special = !route.sni.empty() || !route.connect.empty();
  CHECK(route.sni.empty() || (route.connect.empty() && route.limits.empty()));
  CHECK(!special || (route.hosts.empty() && route.methods.empty() && !route.mirror));
  for (const std::string& name : route.sni) CHECK(config::parse_sni_pattern(name) == name);
  for (const std::string& name : route.connect) CHECK(config::parse_connect_target(name) == name);
  for (const std::string& name : route.upgrade) CHECK(config::parse_upgrade(name) == name);
  // Those that are named are there, and of its mode.
  const auto served = std::ranges::count_if(
      config.listeners, [&](const config::Listener& listener) { return route.serves(listener); });
  CHECK(route.listeners.empty() || static_cast<std::size_t>(served) == route.listeners.size());
}

void check_config(const config::Config& config) {
  Names backends;
  Names listeners;
  for (const config::Backend& backend : config.backends) {
    CHECK(backends.insert(backend.name).second);
    check_backend(backend);
  }
  for (const config::Listener& listener : config.listeners) {
    CHECK(listeners.insert(listener.name).second);
    check_listener(listener, config, backends);
  }
  CHECK(!listeners.empty() && !backends.empty());
  for (const config::Route& route : config.routes) check_route(route, config, backends);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string_view file = input.flag() ? input.rest().substr(0, 40) : "weir.toml";
  const auto block = fuzz::exact_block(input.rest());
  const auto loaded = config::load_text({block.get(), input.rest().size()}, file);
  const std::size_t lines = count_lines(input.rest());
  if (loaded) {
    CHECK(config::count(loaded->warnings).errors == 0);
    check_diagnostics(loaded->warnings, lines);
    check_config(loaded->config);
  } else {
    CHECK(config::count(loaded.error()).errors != 0);
    check_diagnostics(loaded.error(), lines);
  }
  return 0;
}
