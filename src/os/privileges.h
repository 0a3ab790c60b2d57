// What this process may do, and what it leaves behind when it dies.
#pragma once

#include <string>

namespace weir::os {

struct Confinement {
  std::string user;         // Empty: whoever started the program.
  std::string group;        // Empty: the user's primary group.
  bool core_dumps = false;  // True leaves the limit of core files as it was inherited.
};
// For good: nothing that is executed gains privileges, no core file has what clients sent, and the
// process is `user` with no other groups than that user's. Call once everything is open that needs
// more, before the threads start: they inherit it. Returns "", or a sentence saying why not; half
// of it may be done then, and the program must not go on.
[[nodiscard]] std::string confine(const Confinement& wanted);
// Why there is no such user or group, in the words of confine(); "" when both exist or none is
// wanted.
[[nodiscard]] std::string missing_account(const Confinement& wanted);

// Whether this process may open `path` for reading; append to it, or make it when it has been
// renamed; remove it.
[[nodiscard]] bool may_read(const std::string& path);
[[nodiscard]] bool may_reopen(const std::string& path);
[[nodiscard]] bool may_remove(const std::string& path);

}  // namespace weir::os
