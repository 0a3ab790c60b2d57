#include "proxy/request_key.h"

#include <algorithm>

#include "http/scan.h"
#include "upstream/sticky_plan.h"

namespace weir::proxy {

std::optional<std::string_view> find_field(const http::HeadParser& head,
                                           std::string_view lower_name) {
  for (const http::Field& field : head.fields()) {
    if (http::scan::equals_lower(head.name(field), lower_name)) return head.value(field);
  }
  return std::nullopt;
}

std::optional<std::string_view> find_parameter(std::string_view query, std::string_view name) {
  if (query.starts_with('?')) query.remove_prefix(1);
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view one = query.substr(0, end);
    if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=') {
      return one.substr(name.size() + 1);
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return std::nullopt;
}

namespace {

// RFC 9110 4.2.3: no path and "/" are the same.
std::string_view uri_of(const http::HeadParser& head, const http::RequestInfo& info) {
  const std::string_view target = head.view(info.target);
  return target.empty() ? "/" : target;
}

}  // namespace

std::optional<std::string_view> hash_value(const upstream::BackendPlan& plan,
                                           const http::HeadParser& head,
                                           const http::RequestInfo& info) {
  switch (plan.hash_source) {
    case upstream::HashSource::none:
    case upstream::HashSource::address: return std::nullopt;
    case upstream::HashSource::uri: return uri_of(head, info);
    case upstream::HashSource::header: return find_field(head, plan.hash_key);
    case upstream::HashSource::query: return find_parameter(info.query(head), plan.hash_key);
    case upstream::HashSource::cookie: break;
  }
  for (const http::Field& field : head.fields()) {
    if (!http::scan::equals_lower(head.name(field), "cookie")) continue;
    std::string_view cookies = head.value(field);
    const auto value = upstream::take_cookie(cookies, plan.hash_key);
    if (value) return value;
  }
  return std::nullopt;
}

std::string_view address_bytes(const os::Peer& peer) {
  constexpr std::size_t kIpv4Bytes = 4;
  switch (peer.family) {
    case os::Peer::Family::none: return {};
    case os::Peer::Family::ipv4: return {reinterpret_cast<const char*>(peer.ip.data()), kIpv4Bytes};
    case os::Peer::Family::ipv6: break;
  }
  return {reinterpret_cast<const char*>(peer.ip.data()), peer.ip.size()};
}

}  // namespace weir::proxy
