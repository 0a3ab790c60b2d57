// RelayEnd: what both ends of a relayed connection have in common: a payload that is sent as the
// script says, and another that is compared as it comes.
#pragma once

#include <string>
#include <string_view>

#include "sim/world/ledger.h"
#include "sim/world/relay_ledger.h"
#include "sim/world/talker.h"

namespace weir::sim {

class RelayEnd : public Talker {
 public:
  RelayEnd(Kernel& kernel, std::uint64_t seed, Ledger& ledger, RelayLedger& relays,
           const EndScript& script)
      : Talker(kernel, script.sending, script.reading),
        seed_(seed),
        ledger_(ledger),
        relays_(relays),
        script_(script) {}

  [[nodiscard]] bool open() const { return endpoint_.valid(); }

 protected:
  // Where this end is written down.
  [[nodiscard]] virtual EndRecord& record() = 0;
  // The other's payload, without what went ahead of it.
  virtual void payload_received(std::string_view bytes) = 0;
  // It will do nothing more by itself.
  virtual void left() {}

  // Sends `ahead`, then the payload, from now on.
  void begin_sending(std::string ahead);
  void begin_payload(Payload payload);
  // Reads `bytes` of the other's payload, of which `expected` is all.
  void compare(const Payload& expected, std::string_view bytes, const std::string& who);
  // The connection goes, whatever is under way.
  void break_off();
  void close();

  void compose(std::string& pending) override;
  void sent_all() override;
  void cut() override;
  void received(std::string_view bytes) override;
  void ended() override;
  void over(bool by_reset) override;

  std::uint64_t seed_;
  Ledger& ledger_;
  RelayLedger& relays_;
  EndScript script_;
  bool pays_ = false;  // There is a payload to send, now or later.

 private:
  void note_sent();
  void note_over(EndRecord::Over over);
  [[nodiscard]] bool finished_sending() const {
    return paid_ && composed_ == payload_.size() && all_taken();
  }
  void end_direction();

  Payload payload_;
  std::string ahead_;
  std::uint64_t ahead_bytes_ = 0;
  std::uint64_t composed_ = 0;  // Bytes of the payload.
  bool paid_ = false;           // It is being sent.
  bool silent_ = false;         // Sends no more than it has sent.
  bool heard_end_ = false;
};

}  // namespace weir::sim
