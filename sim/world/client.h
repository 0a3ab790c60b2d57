// Client: plays a ClientScript against one listener of weir and checks everything it is told.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "sim/world/ledger.h"
#include "sim/world/oracle.h"
#include "sim/world/talker.h"

namespace weir::sim {

class Client final : public Talker {
 public:
  Client(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const ClientScript& script,
         const os::Address& to);

  // Connects at the time its script says.
  void begin();
  // Its connection is closed, or it waits for nothing but weir's close.
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] bool connected() const { return endpoint_.valid(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const ClientScript& script() const { return script_; }
  // What it waits for, for the report.
  [[nodiscard]] std::string describe() const;

  void failed(os::IoStatus why) override;

 private:
  void connected() override;
  void compose(std::string& pending) override;
  void sent_all() override;
  void cut() override;
  void received(std::string_view bytes) override;
  void over(bool by_reset) override;

  void connect();
  void begin_request(std::string& pending);
  void release_body();
  void read_events();
  void head_complete();
  void piece_received(std::string_view piece);
  void answer_complete();
  void cut_by_reset();
  void wind_up();
  void leave();
  // Every request was sent and answered.
  [[nodiscard]] bool done() const;
  void pause(std::uint64_t ns);
  [[nodiscard]] bool may_begin() const;
  [[nodiscard]] Request& request(std::uint32_t index) {
    return *ledger_.find({script_.number, index});
  }
  [[nodiscard]] Request& asked() { return request(unanswered_.front()); }

  std::uint64_t seed_;
  Ledger& ledger_;
  ClientScript script_;
  os::Address to_;
  Oracle oracle_{Oracle::Side::responses};
  std::uint32_t next_ = 0;
  std::deque<std::uint32_t> unanswered_;
  BodyWriter body_;
  bool body_held_ = false;      // Waits for 100.
  bool in_answer_ = false;      // A final head was seen, its message is not complete.
  bool last_answer_ = false;    // weir said that it closes.
  bool method_unsure_ = false;  // It was a 408: weir may not have had the HEAD that it answered.
  bool thinking_ = false;
  bool fin_sent_ = false;
  bool finished_ = false;
  std::optional<std::uint64_t> serial_;  // Of the answer being read, unless it is weir's own.
  std::uint64_t answer_bytes_ = 0;
  std::uint64_t line_end_ = 0;  // Where the first line of the newest request ends in what is sent.
  std::string cookie_;          // That it was told to keep, "name=value".
  std::uint16_t port_ = 0;
  unsigned connects_ = 0;
};

}  // namespace weir::sim
