#include "control/listening.h"

#include <utility>

#include "os/process.h"
#include "upstream/server_registry.h"

namespace weir::control {

namespace {

const char* reason(bool unix_socket, os::IoStatus status) {
  switch (status) {
    case os::IoStatus::in_use:
      return unix_socket ? "another program listens there, or a file that is no socket is in the "
                           "way; stop it, remove the file, or choose another path"
                         : "the address is in use; stop the program that listens there (ss -ltnp "
                           "shows it) or choose another port";
    case os::IoStatus::denied:
      return unix_socket ? "permission denied; choose a directory that weir may write to"
                         : "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE (or "
                           "root), choose a higher port otherwise";
    case os::IoStatus::unreachable:
      return unix_socket ? "the directory does not exist; create it first"
                         : "no interface of this machine has the address; use 0.0.0.0 for all of "
                           "them";
    default: return os::to_string(status);
  }
}

}  // namespace

std::string why_not_bound(const config::Endpoint& endpoint, os::IoStatus status) {
  const bool unix_socket = endpoint.family == config::Endpoint::Family::unix_path;
  if (unix_socket && os::file_exists(endpoint.host + "/.")) {
    return "cannot listen on " + endpoint.text() +
           ": it is a directory; write the path of a socket in it";
  }
  return "cannot listen on " + endpoint.text() + ": " + reason(unix_socket, status);
}

std::string how_to_ask(const config::Endpoint& address, const std::string& path) {
  if (address.family != config::Endpoint::Family::unix_path) {
    return "http://" + address.text() + path;
  }
  return "curl --unix-socket " + address.host + " http://localhost" + path;
}

Result<Listening, std::string> listen_first(const config::Endpoint& endpoint, int backlog) {
  const os::Address address = upstream::to_address(endpoint);
  os::SocketResult socket = os::listen_on(address, os::Share::first, backlog);
  if (socket.status != os::IoStatus::done) return Err(why_not_bound(endpoint, socket.status));
  return Listening{std::move(socket.fd), os::SocketFile(address)};
}

}  // namespace weir::control
