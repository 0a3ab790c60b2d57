#include "upstream/connection_owner.h"

#include "upstream/server_pool.h"

namespace weir::upstream {

ConnectionOwner::~ConnectionOwner() {
  while (ServerConnection* connection = idle_.front()) connection->server().close(*connection);
}

}  // namespace weir::upstream
