// The words of resolver.h, whoever answers the questions.
#include "os/resolver.h"

namespace weir::os {

const char* to_string(LookupStatus status) {
  switch (status) {
    case LookupStatus::ok: return "ok";
    case LookupStatus::no_data: return "no address";
    case LookupStatus::no_such_name: return "no such name";
    case LookupStatus::malformed: return "malformed answer";
    case LookupStatus::server_failure: return "name server failure";
    case LookupStatus::timed_out: return "no answer in time";
  }
  return "unknown";
}

}  // namespace weir::os
