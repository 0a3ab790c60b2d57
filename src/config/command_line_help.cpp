#include "config/command_line_help.h"

#include <array>

namespace weir::config {
namespace {

constexpr std::string_view kShort = R"(usage: weir [OPTIONS] PORT SERVER [SERVER...]
       weir proxy --from ADDRESS --to ADDRESS [--to ADDRESS...]
       weir run | validate | demo | version | help

For example: weir 8080 9001 9002
Everything:  weir --help
)";

constexpr std::string_view kGeneral = R"(weir - load balancer and reverse proxy for HTTP/1.1 and TCP

USAGE
  weir [OPTIONS] PORT SERVER [SERVER...]    spread PORT over servers, no file
  weir proxy --from ADDRESS --to ADDRESS    the same with full addresses
  weir run [-c FILE]                        run with a configuration file
  weir validate [-c FILE]                   check a configuration file
  weir demo                                 see it work, nothing else needed
  weir version                              print the version
  weir help [COMMAND]                       this text, or that of one command

OPTIONS of weir PORT SERVER...
  -N, --workers N        worker threads, 1 to 256 (default 4)
  -R, --requests R       ask a server for its load every 5 seconds, and after
                         every R requests that it got (default 5)
      --bind IP          address to listen on (default 0.0.0.0)
      --balance NAME     least_load (default), p2c, round_robin, random, first,
                         least_connections, ewma, ip_hash or uri_hash
      --server-limit N   most requests at one time per server; more wait
      --access-log PATH  log requests as JSON lines; - is standard output
      --admin ADDRESS    /healthz, /readyz and /metrics on this address
      --trigger NAME     how epoll tells: edge (default), level or oneshot
  -h, --help             this text

ADDRESSES
  9001                   a port: of a server on 127.0.0.1, or to listen on
  127.0.0.1:9001         IPv4 address and port; localhost:9001 is the same
  app.example.com:80     of a server: every address that the name stands for
  [::1]:9001             IPv6 address and port
  :8080 or *:8080        to listen on: every IPv4 address
  unix:/run/app.sock     a Unix domain socket

EXAMPLES
  weir 8080 9001 9002
  weir -N 2 --balance p2c 8080 9001 9002 10.0.0.5:9001
  weir proxy --from :8080 --to 127.0.0.1:9001 --to unix:/run/app.sock
  weir proxy --mode tcp --from :5432 --to db1:5432 --to db2:5432
  weir run -c /etc/weir/weir.toml
  weir validate -c weir.toml --json

EXIT CODES
  0 done    1 refused, or the file is invalid    2 wrong command line
  78 weir run with an invalid file
)";

constexpr std::string_view kProxy =
    R"(usage: weir proxy --from ADDRESS --to ADDRESS [--to ADDRESS...] [OPTIONS]

Spreads the requests that arrive at --from over the servers at --to; with
--mode tcp the connections, whatever they carry.

  --from ADDRESS      where to listen; may be repeated
  --to ADDRESS        a server; repeat for more
  --mode NAME         http (default) or tcp
  -N, --workers N     worker threads, 1 to 256 (default: one per core)
  --balance NAME      p2c (default), round_robin, least_connections, ewma,
                      least_load, random, first, ip_hash or uri_hash
  --access-log PATH   log requests as JSON lines; - is standard output
  --admin ADDRESS     /healthz, /readyz and /metrics on this address
  --trigger NAME      how epoll tells: edge (default), level or oneshot

EXAMPLES
  weir proxy --from :8080 --to 127.0.0.1:9001
  weir proxy --from 127.0.0.1:8080 --to 9001 --to 9002 --balance p2c
  weir proxy --from [::1]:8080 --to unix:/run/app.sock
  weir proxy --mode tcp --from :5432 --to db1:5432 --to db2:5432
)";

constexpr std::string_view kRun = R"(usage: weir run [-c FILE]

Runs with a configuration file until SIGTERM or SIGINT. SIGHUP reads the file
again; a file with errors changes nothing.

  -c, --config FILE   default: ./weir.toml, else /etc/weir/weir.toml

EXAMPLES
  weir run
  weir run -c /etc/weir/weir.toml

Exit code 78 means that the file is invalid.
)";

constexpr std::string_view kValidate = R"(usage: weir validate [-c FILE] [--json] [--strict]
       weir -t [-c FILE]

Checks a configuration file and reports everything that is wrong with it.

  -c, --config FILE   default: ./weir.toml, else /etc/weir/weir.toml
  --json              report as a JSON array
  --strict            warnings count as errors

EXAMPLES
  weir validate -c weir.toml
  weir validate -c weir.toml --strict --json

Exit code 0 means that the file is valid, 1 that it is not.
)";

constexpr std::string_view kDemo = R"(usage: weir demo [--port PORT] [OPTIONS]

Starts three small servers of different speed inside this process, spreads
requests over them and shows live counters.

  --port PORT         port on 127.0.0.1; 0 takes any free one (default 8080)
  -N, --workers N     worker threads, 1 to 256 (default: one per core)
  --balance NAME      p2c (default), round_robin, least_connections, ewma,
                      least_load, random, first, ip_hash or uri_hash
  --access-log PATH   log requests as JSON lines; - is standard output
  --admin ADDRESS     /healthz, /readyz and /metrics on this address
  --trigger NAME      how epoll tells: edge (default), level or oneshot

EXAMPLES
  weir demo
  weir demo --port 8000 --balance least_connections
)";

constexpr std::string_view kVersionHelp = R"(usage: weir version

Prints the version. The same as weir --version.
)";

struct Help {
  std::string_view verb;
  std::string_view text;
};
constexpr std::array<Help, 5> kHelps = {{
    {"proxy", kProxy},
    {"run", kRun},
    {"validate", kValidate},
    {"demo", kDemo},
    {"version", kVersionHelp},
}};

}  // namespace

std::string_view short_usage() { return kShort; }

std::string_view help_for(std::string_view verb) {
  for (const Help& help : kHelps) {
    if (help.verb == verb) return help.text;
  }
  return kGeneral;
}

}  // namespace weir::config
