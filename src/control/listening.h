// Listening on a configured address: the socket, its file, and in words why it cannot be.
#pragma once

#include <string>

#include "base/result.h"
#include "config/config.h"
#include "os/os.h"
#include "os/process.h"

namespace weir::control {

struct Listening {
  os::Fd socket;
  os::SocketFile file;  // Of a unix socket; goes when this does.
};
// The first socket of this process on `endpoint`. The error is a sentence that says what to do.
[[nodiscard]] Result<Listening, std::string> listen_first(const config::Endpoint& endpoint,
                                                          int backlog);

[[nodiscard]] std::string why_not_bound(const config::Endpoint& endpoint, os::IoStatus status);
// A URL for `path` there, or the curl command for a unix socket, which has no URL.
[[nodiscard]] std::string how_to_ask(const config::Endpoint& address, const std::string& path);

}  // namespace weir::control
