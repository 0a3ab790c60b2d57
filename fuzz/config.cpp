// The text of a configuration file: any bytes give a configuration that keeps its promises, or at
// least one error. Every diagnostic has its place in the file, and neither way of showing it lets a
// byte of the file drive the terminal.
#include <set>
#include <string>

#include "base/check.h"
#include "config/load.h"
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

void check_config(const config::Config& config) {
  CHECK(!config.listeners.empty() && !config.backends.empty() && !config.routes.empty());
  std::set<std::string> backends;
  std::set<std::string> listeners;
  for (const config::Backend& backend : config.backends) {
    CHECK(config::is_name(backend.name) && backends.insert(backend.name).second);
    CHECK(!backend.servers.empty());
    std::set<std::string> servers;
    for (const config::Server& server : backend.servers) CHECK(servers.insert(server.name).second);
  }
  for (const config::Listener& listener : config.listeners) {
    CHECK(config::is_name(listener.name) && listeners.insert(listener.name).second);
    CHECK(!listener.bind.empty());
  }
  for (const config::Route& route : config.routes) {
    CHECK(!route.backends.empty());
    for (const config::RouteBackend& share : route.backends)
      CHECK(backends.contains(share.backend));
    for (const std::string& name : route.listeners) CHECK(listeners.contains(name));
  }
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
