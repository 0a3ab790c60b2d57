#include "sim/world/talker.h"

#include <algorithm>
#include <array>

namespace weir::sim {

void Talker::send_more() {
  if (send_paused_) return;
  while (endpoint_.valid() && !muted_ && send_piece()) {
  }
}

bool Talker::send_piece() {
  if (pending_at_ == pending_.size()) {
    pending_.clear();
    pending_at_ = 0;
    compose(pending_);
    if (pending_.empty()) return false;
  }
  std::uint64_t most = std::min<std::uint64_t>(sending_.piece_max, pending_.size() - pending_at_);
  most = std::min(most, cut_at_ - std::min(cut_at_, sent_));
  const std::string_view piece = std::string_view(pending_).substr(pending_at_, most);
  const std::size_t taken = piece.empty() ? 0 : endpoint_.send(piece);
  pending_at_ += taken;
  sent_ += taken;
  if (sent_ >= cut_at_) {
    muted_ = true;
    cut();
    return false;
  }
  if (pending_at_ == pending_.size()) sent_all();
  if (taken < piece.size()) return false;
  if (!sending_.slow()) return true;
  send_paused_ = true;
  kernel_.after(sending_.pause_ns, [this] {
    send_paused_ = false;
    send_more();
  });
  return false;
}

void Talker::read_more() {
  if (read_paused_) return;
  while (endpoint_.valid() && !deaf_ && read_piece()) {
  }
}

bool Talker::read_piece() {
  std::array<char, 16 * 1024> room;
  const std::size_t most = std::min<std::size_t>(room.size(), reading_.piece_max);
  const os::IoResult result = endpoint_.receive(room.data(), most);
  if (result.status == os::IoStatus::again) return false;
  if (result.status != os::IoStatus::done) {
    over(result.status != os::IoStatus::end);
    return false;
  }
  heard_ += result.bytes;
  received({room.data(), result.bytes});
  if (!reading_.slow()) return true;
  read_paused_ = true;
  kernel_.after(reading_.pause_ns, [this] {
    read_paused_ = false;
    read_more();
  });
  return false;
}

}  // namespace weir::sim
