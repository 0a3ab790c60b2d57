#include "upstream/probe_plan.h"

#include <algorithm>

#include "http/scan.h"
#include "upstream/server_registry.h"
#include "wire/proxy_protocol.h"

namespace weir::upstream {
namespace {

// RFC 9112 3.2. A server that was given by name is asked for by name, like any client would.
std::string host_of(const config::HealthCheck& check, const config::Server& server,
                    const config::Endpoint& endpoint) {
  if (!check.host.empty()) return check.host;
  if (server.host && !server.host->srv()) {
    return server.host->name + ":" + std::to_string(endpoint.port);
  }
  if (endpoint.family == config::Endpoint::Family::unix_path) return "localhost";
  return endpoint.text();
}

// Of the fields that weir sets, a configuration may only give its own User-Agent.
std::string request_text(const config::HealthCheck& check, const std::string& host,
                         std::string_view user_agent) {
  std::string text = check.method + " " + check.path + " HTTP/1.1\r\nHost: " + host + "\r\n";
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  const bool named = std::ranges::any_of(check.headers, [](const config::HeaderField& field) {
    return http::scan::equals_lower(field.name, "user-agent");
  });
  if (!named) add("User-Agent", user_agent);
  for (const config::HeaderField& field : check.headers) add(field.name, field.value);
  // RFC 9110 8.6: the methods that mean a body say that there is none.
  const bool means_body =
      check.method == "POST" || check.method == "PUT" || check.method == "PATCH";
  if (means_body) add("Content-Length", "0");
  add("Connection", "close");
  return text + "\r\n";
}

// The connection is weir's own, on nobody's behalf.
std::string own_introduction(unsigned version) {
  wire::ProxyHeader header;
  header.command = wire::ProxyCommand::local;
  std::string text(wire::kProxyV2BytesMax, '\0');
  text.resize(version == 1 ? wire::write_proxy_v1(text.data(), header)
                           : wire::write_proxy_v2(text.data(), header));
  return text;
}

}  // namespace

bool ProbePlan::expects(std::uint16_t status) const {
  return expect_status.empty() ||
         std::ranges::any_of(expect_status, [status](const config::StatusRange& range) {
           return range.first <= status && status <= range.last;
         });
}

ProbePlan make_probe_plan(const config::HealthCheck& check, const config::Server& server,
                          unsigned send_proxy, std::string_view user_agent) {
  config::Endpoint endpoint = server.address;
  if (check.port && endpoint.family != config::Endpoint::Family::unix_path) {
    endpoint.port = *check.port;
  }
  ProbePlan plan;
  plan.address = to_address(endpoint);
  plan.address_text = endpoint.text();
  plan.timeout_ms = static_cast<std::uint64_t>(check.timeout.count());
  plan.http = check.type == config::HealthCheck::Type::http;
  if (plan.http) {
    plan.method = http::method_id(check.method);
    plan.send = request_text(check, host_of(check, server, endpoint), user_agent);
    plan.expect_status = check.expect_status;
    plan.expect = check.expect_body;
  } else {
    plan.send = check.send;
    plan.expect = check.expect;
  }
  // Another port of the server is another program, which may not know the PROXY protocol.
  if (send_proxy != 0 && !check.port) plan.send.insert(0, own_introduction(send_proxy));
  return plan;
}

}  // namespace weir::upstream
