// ConnectionOwner: a client whose connections to servers say who it is (the PROXY protocol), so
// that nobody else's requests may use them. They end with it.
//
// Owned by the client's session, made when the first such connection is.
#pragma once

#include "base/intrusive_list.h"

namespace weir::upstream {

class ServerConnection;
struct OwnerTag;

class ConnectionOwner {
 public:
  ConnectionOwner() = default;
  // Closes those that are idle; none is in use any more.
  ~ConnectionOwner();
  ConnectionOwner(const ConnectionOwner&) = delete;
  ConnectionOwner& operator=(const ConnectionOwner&) = delete;

 private:
  friend class ServerPool;
  IntrusiveList<ServerConnection, OwnerTag> idle_;
};

}  // namespace weir::upstream
