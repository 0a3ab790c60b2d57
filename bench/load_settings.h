// The command line of bench/load.cpp.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "socket.h"

namespace weir::bench {

struct LoadSettings {
  std::uint32_t port = 0;
  std::uint32_t connections = 16;
  std::uint32_t busy = 0;     // Connections that work; the others rest after one request. 0: all.
  std::uint32_t rate = 0;     // Requests a second; 0: as fast as answers come.
  std::uint32_t seconds = 3;  // Counted,
  std::uint32_t warm_up = 1;  // after so many that are not.
  std::uint32_t requests = UINT32_MAX;        // At most, from the beginning.
  std::uint32_t per_connection = UINT32_MAX;  // Then the client closes.
  std::uint32_t upload = 0;                   // Bytes of a POST; 0: a GET.
  std::uint32_t echo = 0;                     // Bytes of a message to an echo; 0: HTTP.
  std::uint32_t first = 0;                    // Bytes of the first message of a connection.
  std::uint32_t spread = 0;                   // Paths: --path with a number below this; 0: one.
  std::string path = "/";
  bool keep_alive = true;
  bool hold = false;

  // Every connection makes one request before the clock starts.
  [[nodiscard]] bool primes() const {
    return busy < connections || first > 0 || (hold && keep_alive);
  }
};

constexpr std::string_view kLoadUsage =
    "usage: load --port N [--connections C] [--busy M] [--rate R] [--seconds S] [--warm-up S]\n"
    "            [--requests N] [--per-connection N] [--no-keep-alive] [--hold]\n"
    "            [--path PATH] [--spread N] [--upload BYTES | --echo BYTES [--first BYTES]]\n";

[[noreturn]] inline void end_with_usage() {
  std::fputs(kLoadUsage.data(), stderr);
  std::exit(2);
}

struct LoadNumber {
  std::string_view name;
  std::uint32_t LoadSettings::*value;
  std::uint32_t max;
};

constexpr LoadNumber kLoadNumbers[] = {
    {"--port", &LoadSettings::port, 65535},
    {"--connections", &LoadSettings::connections, 20'000},
    {"--busy", &LoadSettings::busy, 20'000},
    {"--rate", &LoadSettings::rate, 1'000'000},
    {"--seconds", &LoadSettings::seconds, 600},
    {"--warm-up", &LoadSettings::warm_up, 60},
    {"--requests", &LoadSettings::requests, UINT32_MAX},
    {"--per-connection", &LoadSettings::per_connection, UINT32_MAX},
    {"--upload", &LoadSettings::upload, 1U << 30},
    {"--echo", &LoadSettings::echo, 1U << 30},
    {"--first", &LoadSettings::first, 1U << 30},
    {"--spread", &LoadSettings::spread, 100'000},
};

inline LoadSettings parse_load_settings(int argc, char** argv) {
  LoadSettings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--no-keep-alive" || name == "--hold") {
      (name == "--hold" ? settings.hold : settings.keep_alive) = name == "--hold";
      continue;
    }
    if (++i == argc) end_with_usage();
    const auto* number = std::ranges::find(kLoadNumbers, name, &LoadNumber::name);
    if (name == "--path") {
      settings.path = argv[i];
    } else if (number != std::end(kLoadNumbers)) {
      settings.*number->value = parse_number(argv[i], number->max);
    } else {
      end_with_usage();
    }
  }
  if (settings.busy == 0) settings.busy = settings.connections;
  if (!settings.keep_alive) settings.per_connection = 1;
  const bool both = settings.upload > 0 && settings.echo > 0;
  if (settings.port == 0 || settings.connections == 0 || settings.busy > settings.connections ||
      settings.per_connection == 0 || both || (settings.first > 0 && settings.echo == 0)) {
    end_with_usage();
  }
  return settings;
}

}  // namespace weir::bench
