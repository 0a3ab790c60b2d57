// RelayClient: the client's end of a relay: introduces itself, asks for a tunnel where one has to
// be asked for, and checks that what it hears then is one server's payload.
#pragma once

#include <optional>
#include <string>

#include "sim/world/relay_end.h"

namespace weir::sim {

class RelayClient final : public RelayEnd {
 public:
  RelayClient(Kernel& kernel, std::uint64_t seed, Ledger& ledger, RelayLedger& relays,
              const RelayManners& manners, const RelayScript& script);

  void begin();
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] std::string describe() const;

  void failed(os::IoStatus why) override;

 private:
  EndRecord& record() override { return mine().end; }
  void payload_received(std::string_view bytes) override;
  void left() override { finished_ = true; }
  void connected() override;

  void connect();
  void pay();
  void head_received();
  void mark_received();
  [[nodiscard]] RelayClientRecord& mine() { return relays_.clients[relay_.number]; }

  RelayManners manners_;
  RelayScript relay_;
  std::string unread_;  // Of the answer's head, or of the mark.
  Payload expected_;
  bool paying_ = false;
  bool finished_ = false;
};

}  // namespace weir::sim
