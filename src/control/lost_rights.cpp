#include "control/lost_rights.h"

#include "os/privileges.h"

namespace weir::control {

std::vector<std::string> lost_rights(const config::Config& config, const std::string& config_path) {
  std::vector<std::string> sentences;
  const std::string user = "user `" + config.runtime.user + "`";
  if (!config_path.empty() && !os::may_read(config_path)) {
    sentences.push_back(user + " cannot read " + config_path +
                        ": SIGHUP will change nothing; give the file a group of that user that "
                        "may read it, and its directories x");
  }
  const std::string& log = config.log.access;
  if (!log.empty() && log != "-" && !os::may_reopen(log)) {
    sentences.push_back(user + " cannot open " + log +
                        ": after a rotation SIGUSR1 will keep the old file; let the rotation "
                        "create the new one for that user");
  }
  const auto check_socket = [&](const config::Endpoint& endpoint) {
    if (endpoint.family != config::Endpoint::Family::unix_path) return;
    if (os::may_remove(endpoint.host)) return;
    sentences.push_back(user + " cannot remove " + endpoint.host +
                        ": it stays when weir ends, and the next start as root replaces it; put "
                        "it into a directory of that user to have it removed");
  };
  for (const config::Listener& listener : config.listeners) {
    for (const config::Endpoint& endpoint : listener.bind) check_socket(endpoint);
  }
  if (config.admin) check_socket(*config.admin);
  return sentences;
}

}  // namespace weir::control
