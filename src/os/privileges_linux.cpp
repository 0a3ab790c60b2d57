// privileges.h over Linux.

#include "os/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/result.h"

namespace weir::os {
namespace {

struct Identity {
  uid_t user = 0;
  gid_t group = 0;
};

std::string unknown(const std::string& kind, const std::string& name) {
  return "[runtime] " + kind + ": this machine has no " + kind + " `" + name + "`; create it (" +
         kind + "add --system " + name + ") or name another";
}

Result<Identity, std::string> look_up(const Confinement& wanted) {
  const passwd* account = ::getpwnam(wanted.user.c_str());
  if (account == nullptr) return Err(unknown("user", wanted.user));
  Identity identity{account->pw_uid, account->pw_gid};
  if (wanted.group.empty()) return identity;
  const group* entry = ::getgrnam(wanted.group.c_str());
  if (entry == nullptr) return Err(unknown("group", wanted.group));
  identity.group = entry->gr_gid;
  return identity;
}

std::string cannot_become(const Confinement& wanted, const std::string& why) {
  const std::string group = wanted.group.empty() ? "" : " with group `" + wanted.group + "`";
  return "[runtime] user: cannot become `" + wanted.user + "`" + group + ": " + why;
}

bool is_already(const Identity& identity, bool group_matters) {
  return ::getuid() == identity.user && ::geteuid() == identity.user &&
         (!group_matters || (::getgid() == identity.group && ::getegid() == identity.group));
}

std::string become(const Confinement& wanted, const Identity& identity) {
  if (::geteuid() != 0) {
    if (is_already(identity, !wanted.group.empty())) return {};
    return cannot_become(wanted, "weir was started by user id " + std::to_string(::geteuid()) +
                                     " and only root can change that; start it as root or as this "
                                     "user and group, or remove the key");
  }
  // The groups first: afterwards the process may not change them any more.
  if (::initgroups(wanted.user.c_str(), identity.group) != 0 ||
      ::setresgid(identity.group, identity.group, identity.group) != 0 ||
      ::setresuid(identity.user, identity.user, identity.user) != 0) {
    return cannot_become(wanted, std::string(std::strerror(errno)) +
                                     "; root needs CAP_SETGID and CAP_SETUID for it, start weir "
                                     "with them or as this user");
  }
  // With this securebit (capabilities(7)) root that becomes another user has given up nothing.
  if (identity.user != 0 && ::setuid(0) == 0) {
    return cannot_become(wanted,
                         "the way back to root stays open; start weir without the "
                         "securebit no_setuid_fixup");
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// Directories decide about the names in them.
bool may_change(const std::string& directory) {
  return ::access(directory.c_str(), W_OK | X_OK) == 0;
}

// Where cores go to a program (core(5)) no limit counts, except 1: to the kernel that is a crash of
// that program, which gets none. And no core file fits into one byte.
void forbid_cores() {
  rlimit core{};
  if (::getrlimit(RLIMIT_CORE, &core) != 0) return;
  core.rlim_cur = std::min<rlim_t>(core.rlim_max, 1);
  (void)::setrlimit(RLIMIT_CORE, &core);
  // A hard limit of 0 cannot be raised. What this costs as well, debuggers and /proc/PID/fd for
  // whoever is not root, is nothing that such a limit leaves anybody to expect.
  if (core.rlim_max == 0) (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace

std::string confine(const Confinement& wanted) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return std::string("cannot give up new privileges (PR_SET_NO_NEW_PRIVS): ") +
           std::strerror(errno) + "; allow prctl in the sandbox that weir runs in";
  }
  if (!wanted.core_dumps) forbid_cores();
  if (wanted.user.empty()) return {};
  const Result<Identity, std::string> identity = look_up(wanted);
  if (!identity) return identity.error();
  std::string error = become(wanted, *identity);
  // A change of user makes the kernel write no core at all; whoever asked for one wants it back.
  if (error.empty() && wanted.core_dumps) (void)::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return error;
}

std::string missing_account(const Confinement& wanted) {
  if (wanted.user.empty()) return {};
  const Result<Identity, std::string> identity = look_up(wanted);
  return identity ? std::string() : identity.error();
}

bool may_read(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

bool may_reopen(const std::string& path) {
  return ::access(path.c_str(), W_OK) == 0 || may_change(directory_of(path));
}

// In a directory like /tmp a name belongs to the owner of its file (S_ISVTX, inode(7)).
bool may_remove(const std::string& path) {
  struct stat directory {};
  struct stat file {};
  const std::string parent = directory_of(path);
  if (!may_change(parent) || ::stat(parent.c_str(), &directory) != 0) return false;
  if ((directory.st_mode & S_ISVTX) == 0 || ::lstat(path.c_str(), &file) != 0) return true;
  const uid_t us = ::geteuid();
  return us == 0 || us == directory.st_uid || us == file.st_uid;
}

}  // namespace weir::os
