#include "config/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace weir::config {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Result<Command, CommandLineError> run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weir");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

Command must_parse(std::vector<const char*> arguments) {
  auto command = run(std::move(arguments));
  EXPECT_TRUE(command) << command.error().message;
  return command ? *command : Command{};
}

std::string refusal(std::vector<const char*> arguments) {
  const auto command = run(std::move(arguments));
  if (command) return "accepted";
  EXPECT_EQ(command.error().exit_code, kExitUsage);
  EXPECT_EQ(command.error().message.find('\n'), std::string::npos) << command.error().message;
  return command.error().message;
}

TEST(Classic, HasItsDefaults) {
  const Command command = must_parse({"8080", "9001", "9002"});
  EXPECT_EQ(command.verb, Command::Verb::classic);
  const Config& config = command.config;
  EXPECT_EQ(config.runtime.workers, 4u);
  EXPECT_EQ(config.admin, std::nullopt);
  EXPECT_EQ(config.log.access, "");
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].name, "main");
  ASSERT_EQ(config.listeners[0].bind.size(), 1u);
  EXPECT_EQ(config.listeners[0].bind[0].text(), "0.0.0.0:8080");
  ASSERT_EQ(config.backends.size(), 1u);
  EXPECT_EQ(config.backends[0].name, "servers");
  EXPECT_EQ(config.backends[0].balance, Balance::least_load);
  HealthCheck health;
  health.type = HealthCheck::Type::http;
  health.path = "/healthcheck";
  health.expect_status = {};
  health.load_report = true;
  health.every_requests = 5;
  EXPECT_EQ(config.backends[0].health, health);
  EXPECT_EQ(health.interval, Milliseconds{5'000});
  EXPECT_EQ(config.backends[0].unavailable_status, 500);
  EXPECT_EQ(config.backends[0].server_limit, std::nullopt);
  ASSERT_EQ(config.backends[0].servers.size(), 2u);
  EXPECT_EQ(config.backends[0].servers[0].name, "127.0.0.1:9001");
  EXPECT_EQ(config.backends[0].servers[1].address.text(), "127.0.0.1:9002");
  ASSERT_EQ(config.routes.size(), 1u);
  ASSERT_EQ(config.routes[0].backends.size(), 1u);
  EXPECT_EQ(config.routes[0].backends[0].backend, "servers");
}

TEST(Classic, TakesEveryOption) {
  const Command command = must_parse({"-N",
                                      "2",
                                      "-R",
                                      "7",
                                      "--bind",
                                      "::1",
                                      "--balance",
                                      "p2c",
                                      "--server-limit",
                                      "9",
                                      "--access-log",
                                      "-",
                                      "--admin",
                                      "9900",
                                      "8080",
                                      "9001",
                                      "127.0.0.1:9003",
                                      "[::1]:9004",
                                      "unix:/run/app.sock",
                                      "http://10.0.0.1/"});
  EXPECT_EQ(command.config.runtime.workers, 2u);
  EXPECT_EQ(command.config.backends[0].health.every_requests, 7u);
  EXPECT_EQ(command.config.backends[0].health.path, "/healthcheck");
  EXPECT_EQ(command.config.listeners[0].bind[0].text(), "[::1]:8080");
  EXPECT_EQ(command.config.backends[0].balance, Balance::p2c);
  EXPECT_EQ(command.config.backends[0].server_limit, 9u);
  EXPECT_EQ(command.config.log.access, "-");
  EXPECT_EQ(command.config.admin->text(), "127.0.0.1:9900");
  ASSERT_EQ(command.config.backends[0].servers.size(), 5u);
  EXPECT_EQ(command.config.backends[0].servers[4].name, "10.0.0.1:80");
}

TEST(Classic, TakesHostNames) {
  const Command command = must_parse({"8080", "app.Example.com:80", "srv:_http._tcp.example.com"});
  ASSERT_EQ(command.config.backends[0].servers.size(), 2u);
  EXPECT_EQ(command.config.backends[0].servers[0].name, "app.example.com:80");
  EXPECT_EQ(command.config.backends[0].servers[0].host, (HostName{"app.example.com", 80}));
  EXPECT_EQ(command.config.backends[0].servers[1].host, (HostName{"_http._tcp.example.com", 0}));
}

TEST(Classic, TakesOptionsAnywhereAndInEverySpelling) {
  for (const auto& arguments :
       std::vector<std::vector<const char*>>{{"-N2", "8080", "9001"},
                                             {"--workers=2", "8080", "9001"},
                                             {"8080", "-N", "2", "9001"},
                                             {"8080", "9001", "--workers", "2"},
                                             {"-N", "2", "--", "8080", "9001"}}) {
    const Command command = must_parse(arguments);
    EXPECT_EQ(command.config.runtime.workers, 2u);
    ASSERT_EQ(command.config.backends.size(), 1u);
    EXPECT_EQ(command.config.backends[0].servers.size(), 1u);
  }
}

TEST(Classic, SaysWhatIsWrongInOneLine) {
  EXPECT_EQ(refusal({"8080"}), "weir: no server given; add at least one, e.g. weir 8080 9001 9002");
  EXPECT_EQ(refusal({"99999", "9001"}), "weir: port 99999 is out of range; use 1 to 65535");
  EXPECT_EQ(refusal({"0", "9001"}), "weir: port 0 is out of range; use 1 to 65535");
  EXPECT_EQ(refusal({"8080", "9001", "9001"}),
            "weir: server 127.0.0.1:9001 is given twice; remove one");
  EXPECT_EQ(refusal({"8080", "9001", "localhost:9001"}),
            "weir: server 127.0.0.1:9001 is given twice; remove one");
  EXPECT_EQ(refusal({"8080", "127.0.0.1:99999"}),
            "weir: server `127.0.0.1:99999`: port 99999 is out of range; use 1 to 65535");
  EXPECT_EQ(refusal({"8080", "9001,9002"}),
            "weir: server: `9001,9002` is not an address; servers are separated by spaces");
  EXPECT_EQ(refusal({"proxy", "--from", ":80", "--to", "9001,9002"}),
            "weir: server: `9001,9002` is not an address; repeat --to for each server");
  EXPECT_EQ(refusal({"8080", "9001x"}),
            "weir: server: `9001x` is neither a port nor a name with one; write 9001 for the port, "
            "or 9001x:8080 for the name");
  EXPECT_EQ(refusal({"8080", "3scale.test"}),
            "weir: server `3scale.test`: the port is missing; write 3scale.test:8080");
  EXPECT_EQ(refusal({"8080", "app"}), "weir: server `app`: the port is missing; write app:8080");
  EXPECT_EQ(refusal({"8080", "app:80", "APP.:80"}),
            "weir: server app:80 is given twice; remove one");
  EXPECT_EQ(refusal({"--balance", "header_hash", "8080", "9001"}),
            "weir: --balance header_hash needs a hash_key; write a file for weir run -c FILE");
  EXPECT_EQ(refusal({"-N", "0", "8080", "9001"}), "weir: -N 0 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"-N", "257", "8080", "9001"}), "weir: -N 257 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"-N", "abc", "8080", "9001"}),
            "weir: -N `abc` is not a whole number; use 1 to 256");
  EXPECT_EQ(refusal({"-N", "2.5", "8080", "9001"}),
            "weir: -N `2.5` is not a whole number; use 1 to 256");
  EXPECT_EQ(refusal({"-N", "-4", "8080", "9001"}), "weir: -N -4 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"-R", "-1", "8080", "9001"}),
            "weir: -R -1 is out of range; use 1 to 1000000000");
  EXPECT_EQ(refusal({"-R", "99999999999999999999", "8080", "9001"}),
            "weir: -R 99999999999999999999 is out of range; use 1 to 1000000000");
  EXPECT_EQ(refusal({"--server-limit", "0", "8080", "9001"}),
            "weir: --server-limit 0 is out of range; use 1 to 1000000");
  EXPECT_EQ(refusal({"--balance", "best", "8080", "9001"}),
            "weir: unknown --balance `best`; choose one of round_robin, least_connections, p2c, "
            "ewma, least_load, random, first, ip_hash, uri_hash");
  EXPECT_EQ(
      refusal({"proxy", "--mode", "tcp", "--from", ":80", "--to", "9001", "--balance", "best"}),
      "weir: unknown --balance `best`; choose one of round_robin, least_connections, p2c, "
      "ewma, least_load, random, first, ip_hash");
  for (const auto& [theirs, ours] :
       {std::pair{"rr", "round_robin"}, std::pair{"roundrobin", "round_robin"},
        std::pair{"leastconn", "least_connections"}, std::pair{"least_conn", "least_connections"},
        std::pair{"least_lod", "least_load"}}) {
    EXPECT_EQ(
        refusal({"--balance", theirs, "8080", "9001"}),
        "weir: unknown --balance `" + std::string(theirs) + "`; did you mean \"" + ours + "\"?");
  }
  EXPECT_EQ(refusal({"--bind", "1.2.3", "8080", "9001"}),
            "weir: --bind: `1.2.3` is not an IPv4 address; write four numbers from 0 to 255");
  EXPECT_EQ(refusal({"--access-log", "", "8080", "9001"}),
            "weir: --access-log is empty; see weir --help");
  EXPECT_EQ(refusal({"8080", "9001", "-N"}), "weir: option -N needs a value; see weir --help");
  EXPECT_EQ(refusal({"-N", "1", "--workers", "2", "8080", "9001"}),
            "weir: -N, --workers is given twice; keep one");
  EXPECT_EQ(refusal({"-N", "2"}), "weir: no port given; for example: weir 8080 9001 9002");
}

TEST(Options, AreNamedAsTheyWereTyped) {
  EXPECT_EQ(refusal({"--workers", "0", "8080", "9001"}),
            "weir: --workers 0 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"demo", "--workers=0"}), "weir: --workers 0 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"demo", "-N0"}), "weir: -N 0 is out of range; use 1 to 256");
  EXPECT_EQ(refusal({"proxy", "--from", ":80", "--to", "9001", "--workers=abc"}),
            "weir: --workers `abc` is not a whole number; use 1 to 256");
  EXPECT_EQ(refusal({"--workers"}), "weir: option --workers needs a value; see weir --help");
  EXPECT_EQ(refusal({"-N", "1", "-N", "2", "8080", "9001"}), "weir: -N is given twice; keep one");
  EXPECT_EQ(refusal({"run", "--config", "a", "--config=b"}),
            "weir: --config is given twice; keep one");
  EXPECT_EQ(refusal({"run", "--config", ""}), "weir: --config is empty; see weir --help");
}

TEST(Commands, AreWhatIsWrongWhenTheirNameIs) {
  EXPECT_EQ(refusal({"rum", "-c", "x.toml"}),
            "weir: `rum` is neither a command nor a port; did you mean `run`?");
  EXPECT_EQ(refusal({"Proxy", "--from", ":1"}),
            "weir: `Proxy` is neither a command nor a port; did you mean `proxy`?");
  EXPECT_EQ(refusal({"frobnicate", "--json"}),
            "weir: `frobnicate` is neither a command nor a port; see weir --help");
  EXPECT_EQ(refusal({"check", "-c", "x.toml"}),
            "weir: `check` is neither a command nor a port; write weir validate -c FILE");
  EXPECT_EQ(refusal({"reload"}),
            "weir: `reload` is neither a command nor a port; send SIGHUP to the running weir");
}

TEST(Commands, SayWhichFormAnOptionBelongsTo) {
  const std::vector<const char*> proxy = {"proxy", "--from", ":80", "--to", "9001"};
  const auto refused_by_proxy = [&](std::vector<const char*> rest) {
    rest.insert(rest.begin(), proxy.begin(), proxy.end());
    return refusal(rest);
  };
  EXPECT_EQ(
      refused_by_proxy({"--server-limit", "3"}),
      "weir: `--server-limit` is an option of weir PORT SERVER...; for weir run -c FILE it is "
      "server_limit in [backend.NAME]");
  EXPECT_EQ(refused_by_proxy({"--server-limit=3"}), refused_by_proxy({"--server-limit", "3"}));
  EXPECT_EQ(
      refused_by_proxy({"--bind", "::1"}),
      "weir: `--bind` is an option of weir PORT SERVER...; weir proxy has --from ADDRESS for it");
  EXPECT_EQ(refused_by_proxy({"-R", "5"}),
            "weir: `-R` is an option of weir PORT SERVER...; for weir run -c FILE it is "
            "every_requests in [backend.NAME.health]");
  EXPECT_EQ(refused_by_proxy({"-R5"}), refused_by_proxy({"-R", "5"}));
  EXPECT_EQ(refusal({"8080", "9001", "--mode", "tcp"}),
            "weir: `--mode` is an option of weir proxy; write weir proxy --mode tcp --from ADDRESS "
            "--to ADDRESS");
  EXPECT_EQ(refusal({"8080", "9001", "--json"}),
            "weir: `--json` is an option of weir validate; write weir validate -c FILE");
  EXPECT_EQ(refusal({"run", "--workers", "2"}),
            "weir: `--workers` is an option of the forms without a file; in the file it is workers "
            "in [runtime]");
}

TEST(Commands, SayWhatOnlyAFileHas) {
  EXPECT_EQ(refusal({"8080", "9001", "--send-proxy"}),
            "weir: there is no option `--send-proxy`; it needs a configuration file; write "
            "send_proxy = 1 in [backend.NAME], and weir run -c FILE");
  EXPECT_THAT(refusal({"proxy", "--from", ":80", "--to", "9001", "--accept-proxy"}),
              HasSubstr("accept_proxy = [\"10.0.0.0/8\"] in [listener.NAME]"));
  EXPECT_THAT(refusal({"run", "--sni", "a.example"}), HasSubstr("in [[route]]"));
}

TEST(Classic, RefusesAddressesThatCollide) {
  EXPECT_THAT(refusal({"8080", "8080"}), HasSubstr("server 127.0.0.1:8080 is weir itself"));
  EXPECT_THAT(refusal({"--admin", "8080", "8080", "9001"}), HasSubstr("share a port"));
  EXPECT_THAT(refusal({"--admin", ":8080", "8080", "9001"}), HasSubstr("listened on twice"));
  EXPECT_THAT(refusal({"--admin", "9001", "8080", "9001"}), HasSubstr("is weir itself"));
  must_parse({"--bind", "10.0.0.1", "8080", "8080"});
}

TEST(Classic, GuessesWhatWasMeant) {
  EXPECT_EQ(refusal({"rnu"}), "weir: `rnu` is neither a command nor a port; did you mean `run`?");
  EXPECT_EQ(refusal({"valdate"}),
            "weir: `valdate` is neither a command nor a port; did you mean `validate`?");
  EXPECT_EQ(refusal({"--blance", "p2c", "8080", "9001"}),
            "weir: unknown option `--blance`; did you mean `--balance`?");
  EXPECT_EQ(refusal({"-n", "2", "8080", "9001"}), "weir: unknown option `-n`; did you mean `-N`?");
  EXPECT_EQ(refusal({"-x", "8080", "9001"}), "weir: unknown option `-x`; see weir --help");
  EXPECT_THAT(refusal({"weir.toml"}), HasSubstr("`weir run -c weir.toml`"));
  EXPECT_THAT(refusal({"127.0.0.1:8080", "9001"}), HasSubstr("--bind 127.0.0.1 8080"));
  EXPECT_THAT(refusal({"-c", "weir.toml"}), HasSubstr("weir run -c FILE"));
  EXPECT_THAT(refusal({"--from", ":80", "--to", "9001"}), HasSubstr("weir proxy --from"));
  EXPECT_THAT(refusal({"abc", "9001"}), HasSubstr("neither a command nor a port"));
  EXPECT_THAT(refusal({"", "9001"}), HasSubstr("neither a command nor a port"));
  EXPECT_THAT(refusal({"--run", "-c", "weir.toml"}), HasSubstr("write weir run"));
  EXPECT_THAT(refusal({"8080", ""}), HasSubstr("address is empty"));
}

TEST(Proxy, TakesFullAddresses) {
  const Command command =
      must_parse({"proxy", "--from", ":8080", "--from", "[::1]:8080", "--to", "127.0.0.1:9001",
                  "--to", "9002", "--balance", "least_connections"});
  EXPECT_EQ(command.verb, Command::Verb::proxy);
  EXPECT_EQ(command.config.runtime.workers, std::nullopt);
  ASSERT_EQ(command.config.listeners[0].bind.size(), 2u);
  EXPECT_EQ(command.config.listeners[0].bind[0].text(), "0.0.0.0:8080");
  EXPECT_EQ(command.config.listeners[0].bind[1].text(), "[::1]:8080");
  EXPECT_EQ(command.config.backends[0].servers.size(), 2u);
  EXPECT_EQ(command.config.backends[0].balance, Balance::least_connections);
  EXPECT_EQ(command.config.backends[0].unavailable_status, 503);
}

TEST(Proxy, HasTheDefaultsOfAFile) {
  const Command command = must_parse({"proxy", "--from", ":8080", "--to", "9001"});
  EXPECT_EQ(command.config.backends[0].balance, Balance::p2c);
  EXPECT_EQ(command.config.backends[0].health, HealthCheck{});
  EXPECT_EQ(must_parse({"demo"}).config.backends[0].balance, Balance::p2c);
}

TEST(Trigger, IsAnOptionOfEveryFormWithoutAFile) {
  EXPECT_EQ(must_parse({"8080", "9001"}).config.runtime.trigger, Trigger::edge);
  for (auto form : std::vector<std::vector<const char*>>{
           {"8080", "9001"}, {"proxy", "--from", ":80", "--to", "9001"}, {"demo"}}) {
    form.insert(form.end(), {"--trigger", "level"});
    EXPECT_EQ(must_parse(form).config.runtime.trigger, Trigger::level);
    form.back() = "oneshot";
    EXPECT_EQ(must_parse(form).config.runtime.trigger, Trigger::oneshot);
    form.back() = "poll";
    EXPECT_EQ(refusal(form), "weir: unknown --trigger `poll`; choose one of edge, level, oneshot");
    form.back() = "egde";
    EXPECT_EQ(refusal(form), "weir: unknown --trigger `egde`; did you mean \"edge\"?");
    form.insert(form.end(), {"--trigger", "edge"});
    EXPECT_EQ(refusal(form), "weir: --trigger is given twice; keep one");
  }
  EXPECT_THAT(refusal({"run", "--trigger", "level"}), HasSubstr("trigger in [runtime]"));
}

TEST(Proxy, SaysWhatIsMissing) {
  EXPECT_EQ(refusal({"proxy"}), "weir: no --from given; say where to listen, e.g. --from :8080");
  EXPECT_EQ(refusal({"proxy", "--from", ":80"}),
            "weir: no --to given; add at least one server, e.g. --to 127.0.0.1:9001");
  EXPECT_EQ(refusal({"proxy", "--from", ":80", "9001"}),
            "weir: `9001` belongs behind an option; write --to 9001");
  EXPECT_EQ(refusal({"proxy", "--from", ":80", "--to"}),
            "weir: option --to needs a value; see weir --help");
  EXPECT_EQ(refusal({"proxy", ":80", "9001"}),
            "weir: `:80` belongs behind an option; write --from :80");
  EXPECT_THAT(refusal({"proxy", "--from", ":80", "--to", "9001", "--to", ":9001"}),
              HasSubstr("given twice"));
  EXPECT_THAT(refusal({"proxy", "--from", ":80", "--from", "127.0.0.1:80", "--to", "9001"}),
              HasSubstr("share a port"));
  EXPECT_THAT(refusal({"proxy", "--from", "::1:80", "--to", "9001"}), HasSubstr("[::1]:80"));
  EXPECT_THAT(refusal({"proxy", "--from", ":80", "--to", "https://10.0.0.1"}),
              HasSubstr("TLS to servers is not available yet"));
}

TEST(Proxy, RelaysConnectionsInModeTcp) {
  const Command tcp = must_parse({"proxy", "--mode", "tcp", "--from", "5432", "--to", "db1:5432",
                                  "--to", "db_2:5432", "--balance", "ip_hash"});
  const Listener& listener = tcp.config.listeners.at(0);
  EXPECT_EQ(listener.mode, ListenerMode::tcp);
  EXPECT_EQ(listener.backend, tcp.config.backends.at(0).name);
  EXPECT_EQ(listener.bind.at(0).text(), "0.0.0.0:5432");
  EXPECT_EQ(tcp.config.backends[0].servers.at(1).name, "db_2:5432");
  EXPECT_TRUE(tcp.config.routes.empty());
  for (const char* mode : {"--mode=http", "--workers=1"}) {
    const Command http = must_parse({"proxy", "--from", "80", "--to", "9001", mode});
    EXPECT_EQ(http.config.listeners.at(0).mode, ListenerMode::http);
    EXPECT_EQ(http.config.listeners[0].backend, "");
    EXPECT_EQ(http.config.routes.size(), 1u);
  }
}

TEST(Proxy, RefusesWhatIsNoMode) {
  EXPECT_EQ(refusal({"proxy", "--from", "80", "--to", "9001", "--mode", "udp"}),
            "weir: unknown --mode `udp`; choose one of http, tcp");
  EXPECT_EQ(refusal({"proxy", "--from", "80", "--to", "9001", "--mode="}),
            "weir: option --mode needs a value; see weir --help");
  EXPECT_EQ(refusal({"proxy", "--from", "80", "--to", "9001", "--mode", "tcp", "--mode", "tcp"}),
            "weir: --mode is given twice; keep one");
  EXPECT_EQ(refusal({"proxy", "--mode", "tcp", "--from", "80", "--to", "1", "--balance=uri_hash"}),
            "weir: --balance uri_hash looks at requests, and --mode tcp has none; write --balance "
            "ip_hash");
  EXPECT_EQ(refusal({"proxy", "--mode", "tcp", "--from", "80", "--to", "1", "--to", "HTTP://h"}),
            "weir: --to HTTP://h means HTTP, and --mode tcp relays any bytes; leave out "
            "http:// or --mode tcp");
  EXPECT_THAT(refusal({"--mode", "tcp", "80", "9001"}), HasSubstr("write weir proxy --mode tcp"));
}

TEST(Files, AreGivenWithC) {
  EXPECT_EQ(must_parse({"run"}).verb, Command::Verb::run);
  EXPECT_EQ(must_parse({"run"}).config_path, "");
  EXPECT_EQ(must_parse({"run", "-c", "a.toml"}).config_path, "a.toml");
  EXPECT_EQ(must_parse({"run", "--config=a.toml"}).config_path, "a.toml");
  const Command validate = must_parse({"validate", "--json", "--strict", "-c", "a.toml"});
  EXPECT_EQ(validate.verb, Command::Verb::validate);
  EXPECT_TRUE(validate.json);
  EXPECT_TRUE(validate.strict);
  EXPECT_FALSE(must_parse({"validate"}).json);
  EXPECT_EQ(must_parse({"-t"}).verb, Command::Verb::validate);
  EXPECT_EQ(must_parse({"-t", "-c", "a.toml"}).config_path, "a.toml");
  EXPECT_EQ(must_parse({"-c", "a.toml", "-t"}).config_path, "a.toml");
  EXPECT_EQ(must_parse({"-tc", "a.toml"}).config_path, "a.toml");
  EXPECT_EQ(refusal({"run", "a.toml"}),
            "weir: the file needs -c in front; write weir run -c a.toml");
  EXPECT_EQ(refusal({"run", "-c"}), "weir: option -c needs a value; see weir --help");
  EXPECT_EQ(refusal({"run", "-c", ""}), "weir: -c is empty; see weir --help");
  EXPECT_EQ(refusal({"run", "-c", "a", "-c", "b"}), "weir: -c is given twice; keep one");
  EXPECT_EQ(refusal({"run", "--jason"}), "weir: unknown option `--jason`; see weir --help");
  EXPECT_EQ(refusal({"validate", "--json=yes"}),
            "weir: option --json takes no value; see weir --help");
  EXPECT_EQ(refusal({"validate", "--jsno"}),
            "weir: unknown option `--jsno`; did you mean `--json`?");
}

TEST(Demo, TakesAPort) {
  EXPECT_EQ(must_parse({"demo"}).verb, Command::Verb::demo);
  EXPECT_EQ(must_parse({"demo"}).demo_port, std::nullopt);
  EXPECT_EQ(must_parse({"demo", "--port", "8000"}).demo_port, 8000);
  EXPECT_EQ(must_parse({"demo", "--port", "0"}).demo_port, 0);
  EXPECT_EQ(must_parse({"demo", "-N", "2"}).config.runtime.workers, 2u);
  EXPECT_THAT(refusal({"demo", "--port", "70000"}), HasSubstr("out of range"));
  EXPECT_EQ(refusal({"demo", "8000"}),
            "weir: the port needs --port in front; write weir demo --port 8000");
  EXPECT_THAT(refusal({"demo", "fast"}), HasSubstr("one argument too many"));
  EXPECT_THAT(refusal({"demo", "--port", "abc"}), HasSubstr("--port: "));
}

TEST(Help, IsThereForEveryForm) {
  for (const auto& arguments : std::vector<std::vector<const char*>>{{"--help"},
                                                                     {"-h"},
                                                                     {"help"},
                                                                     {"help", "proxy"},
                                                                     {"help", "help"},
                                                                     {"proxy", "--help"},
                                                                     {"run", "-h"},
                                                                     {"validate", "--help"},
                                                                     {"-t", "--help"},
                                                                     {"demo", "--help"},
                                                                     {"version", "--help"},
                                                                     {"8080", "9001", "--help"},
                                                                     {"--nonsense", "--help"}}) {
    const auto command = run(arguments);
    if (arguments.front() == std::string("--nonsense")) continue;
    ASSERT_TRUE(command) << arguments.front();
    EXPECT_EQ(command->verb, Command::Verb::help);
    EXPECT_TRUE(command->help.ends_with('\n'));
    std::istringstream lines(command->help);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 80u) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
  EXPECT_THAT(must_parse({"help", "proxy"}).help, HasSubstr("weir proxy --from :8080"));
  EXPECT_THAT(must_parse({"--help"}).help, HasSubstr("weir 8080 9001 9002"));
  EXPECT_EQ(refusal({"help", "rnu"}), "weir: there is no command `rnu`; did you mean `run`?");
}

TEST(Version, HasTwoSpellings) {
  EXPECT_EQ(must_parse({"version"}).verb, Command::Verb::version);
  EXPECT_EQ(must_parse({"--version"}).verb, Command::Verb::version);
  EXPECT_THAT(refusal({"version", "x"}), HasSubstr("one argument too many"));
}

TEST(NoArguments, ShowTheUsage) {
  const auto command = run({});
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().exit_code, 2);
  EXPECT_THAT(command.error().message, HasSubstr("usage: weir"));
  EXPECT_FALSE(parse_command_line(0, nullptr));
}

TEST(Messages, AreOneLineWhateverIsTyped) {
  const std::vector<const char*> odd = {"a\nb", "\x1B[2J", "\xFF", "--\n", "-\x01",    "=",   "--=",
                                        "-",    "--x=\n",  "{}",   "%s%n", "--help=x", "-h=x"};
  for (const char* word : odd) {
    for (auto arguments :
         std::vector<std::vector<const char*>>{{word},
                                               {"8080", word},
                                               {"-N", word, "8080", "9001"},
                                               {"run", word},
                                               {"proxy", "--from", word, "--to", "9001"},
                                               {"help", word},
                                               {"--bind", word, "1", "2"},
                                               {"--balance", word, "1", "2"},
                                               {"demo", "--port", word},
                                               {"version", word}}) {
      const std::string message = refusal(arguments);
      EXPECT_TRUE(std::ranges::all_of(message, [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
      })) << message;
      EXPECT_THAT(message, testing::Not(HasSubstr("required")));
    }
  }
}

}  // namespace
}  // namespace weir::config
