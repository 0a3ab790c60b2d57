#include "sim/world/relay_end.h"

#include <algorithm>
#include <utility>

#include "sim/world/checkers.h"

namespace weir::sim {

using Ending = EndScript::Ending;

void RelayEnd::begin_sending(std::string ahead) {
  ahead_bytes_ += ahead.size();
  ahead_ += std::move(ahead);
  send_more();
}

void RelayEnd::begin_payload(Payload payload) {
  payload_ = std::move(payload);
  paid_ = true;
  const bool cuts = script_.ending == Ending::reset || script_.ending == Ending::stall;
  if (cuts) cut_at(ahead_bytes_ + script_.ending_at);
  send_more();
}

void RelayEnd::compose(std::string& pending) {
  constexpr std::uint64_t kPieceBytes = 16 * 1024;
  pending += std::exchange(ahead_, {});
  if (!pending.empty() || !paid_) return;
  const std::uint64_t size = std::min(kPieceBytes, payload_.size() - composed_);
  payload_.append(composed_, size, pending);
  composed_ += size;
}

void RelayEnd::note_sent() { record().sent = sent() - std::min(sent(), ahead_bytes_); }

void RelayEnd::sent_all() {
  note_sent();
  if (finished_sending() && !record().fin_at) end_direction();
}

// Behind the last byte.
void RelayEnd::end_direction() {
  if (script_.ending == Ending::close || heard_end_) return close();
  if (script_.ending != Ending::half_close && script_.ending != Ending::deaf) return;
  record().fin_at = record().sent;
  record().fin_ns = kernel().now_ns();
  kernel().trace("relay end shuts", record().sent);
  endpoint_.shutdown_send();
}

void RelayEnd::cut() {
  note_sent();
  kernel().trace("relay end cuts", record().sent);
  silent_ = true;
  if (script_.ending == Ending::reset) break_off();
  if (heard_end_) close();
}

void RelayEnd::break_off() {
  if (!endpoint_.valid()) return;
  note_sent();
  record().broke = true;
  endpoint_.reset();
  left();
}

void RelayEnd::close() {
  if (!endpoint_.valid()) return;
  EndRecord& mine = record();
  if (!mine.fin_at) {
    mine.fin_at = mine.sent;
    mine.fin_ns = kernel().now_ns();
  }
  // What is unread, or still comes, is answered with RST.
  mine.broke = mine.broke || !heard_end_;
  endpoint_.close();
  left();
}

void RelayEnd::received(std::string_view bytes) {
  note_sent();
  payload_received(bytes);
  if (script_.ending != Ending::deaf || heard() < script_.ending_at) return;
  deafen();
  left();
}

void RelayEnd::compare(const Payload& expected, std::string_view bytes, const std::string& who) {
  EndRecord& mine = record();
  check(expected.matches(mine.heard, bytes), "bytes of a relay",
        who + ": differs in the " + std::to_string(bytes.size()) + " bytes from " +
            std::to_string(mine.heard));
  mine.heard += bytes.size();
  mine.heard_ns = kernel().now_ns();
  ledger_.totals.relayed_bytes += bytes.size();
}

void RelayEnd::note_over(EndRecord::Over over) {
  EndRecord& mine = record();
  note_sent();
  kernel().trace("relay end hears the end", static_cast<std::uint64_t>(over), mine.heard);
  mine.over = over;
  mine.over_ns = kernel().now_ns();
  mine.killed = kernel().killed_by_fault(endpoint_.connection());
}

// Who does not listen takes FIN for the end of everything, and ends in order what it has sent.
void RelayEnd::ended() {
  if (!deaf()) return Talker::ended();
  note_over(EndRecord::Over::reset);
  close();
}

void RelayEnd::over(bool by_reset) {
  if (heard_end_ && !by_reset) return;
  note_over(by_reset ? EndRecord::Over::reset : EndRecord::Over::end);
  if (by_reset) {
    endpoint_.close();
    left();
    return;
  }
  heard_end_ = true;
  // Who has nothing more to say, or never could, closes.
  if (record().fin_at || silent_ || !pays_ || finished_sending()) close();
}

}  // namespace weir::sim
