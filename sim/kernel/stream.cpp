#include "sim/kernel/stream.h"

#include <array>
#include <utility>

#include "sim/kernel/network.h"

namespace weir::sim {

using os::IoStatus;

// --- Life ----------------------------------------------------------------------------------------

void StreamSocket::join(StreamSocket& client, StreamSocket& child) {
  client.other_ = &child;
  child.other_ = &client;
  child.state_ = State::connected;
  for (StreamSocket* end : {&client, &child}) {
    end->advertised_ = end->shape_.is_unix ? 0 : end->shape_.receive_window;
    end->other_->window_end_ = end->shape_.is_unix ? kNever : end->advertised_;
  }
}

void StreamSocket::become_connected() {
  state_ = State::connected;
  wake(kUnspecified);
  tell(kConnected);
}

void StreamSocket::fail(IoStatus why) {
  if (state_ != State::connecting || released_) return;
  machine_.note("connect fails", static_cast<int>(connection_), os::to_string(why));
  error_ = failed_why_ = why;
  close_both_ways();
  tell(kFailed);
}

void StreamSocket::close_both_ways() {
  state_ = State::closed;
  sends_ = receives_ = false;
  drop_unsent();
  wake(kUnspecified);
  retire_if_finished();
}

void StreamSocket::abort() {
  if (state_ == State::connected) {
    machine_.note("sends reset", static_cast<int>(connection_));
    send_over(0, [took = unacknowledged()](StreamSocket& other) { other.arrive_reset(took); });
  }
  close_both_ways();
}

void StreamSocket::arrive_reset(std::size_t took) {
  if (state_ != State::connected) return fail(IoStatus::refused);
  reset_took_ = took;
  machine_.note("reset arrives", static_cast<int>(connection_));
  release_held();
  // tcp_reset(): in CLOSE_WAIT, with the peer's end read or to be read, it is EPIPE.
  const bool close_wait = ended_ && sends_ && !shape_.is_unix;
  error_ = close_wait ? IoStatus::broken_pipe : IoStatus::reset;
  close_both_ways();
  tell(kReset);
}

void StreamSocket::released() {
  released_ = true;
  events_ = nullptr;
  if (state_ != State::connected) return close_both_ways();
  if (!lingers_ || received_.unread() > 0) return abort();
  if (shape_.is_unix) {
    send_over(0, [](StreamSocket& other) { other.arrive_hangup(); });
    return close_both_ways();
  }
  shutdown_send();
  retire_if_finished();
}

// A unix socket whose peer was closed is at the end both ways.
void StreamSocket::arrive_hangup() {
  if (state_ != State::connected) return;
  release_held();
  ended_ = true;
  close_both_ways();
  tell(kEnded);
}

void StreamSocket::retire_if_finished() {
  if (!finished() || (other_ != nullptr && !other_->finished())) return;
  network_.forget(connection_);
}

IoStatus StreamSocket::take_error() { return std::exchange(error_, IoStatus::done); }

std::uint8_t StreamSocket::poll() {
  unsigned bits = 0;
  if (!sends_ && !receives_) bits |= kHangupBit;
  if (!receives_) bits |= kIn | kReadHangup;
  if (state_ != State::connecting) {
    if (received_.readable()) bits |= kIn;
    if (!sends_ || has_room()) {
      bits |= kOut;
    } else {
      want_room();
    }
    if (received_.has_mark()) bits |= kPriority;
  }
  if (error_ != IoStatus::done) bits |= kErrorBit;
  return static_cast<std::uint8_t>(bits);
}

std::string StreamSocket::describe() const {
  constexpr std::array<std::string_view, 3> kStates{"connecting", "connected", "closed"};
  return std::string(shape_.is_unix ? "unix" : "tcp") + " socket of connection " +
         std::to_string(connection_) + " (" +
         std::string(kStates[static_cast<std::size_t>(state_)]) + "), " +
         std::to_string(received_.unread()) + " unread, " + std::to_string(unacknowledged()) +
         " unacknowledged";
}

// --- Telling a script ----------------------------------------------------------------------------

void StreamSocket::attach(EndpointEvents* events) {
  events_ = events;
  if (events_ != nullptr && news_ != 0) tell(static_cast<News>(news_));
}

void StreamSocket::tell(News news) {
  if (released_) return;
  news_ = static_cast<std::uint8_t>(news_ | news);
  if (events_ == nullptr || std::exchange(news_scheduled_, true)) return;
  machine_.clock.after(0, [self = shared_from_this()] { self->deliver_news(); });
}

void StreamSocket::deliver_news() {
  news_scheduled_ = false;
  if (events_ == nullptr || news_ == 0) return;
  const auto first = static_cast<std::uint8_t>(news_ & -news_);
  news_ = static_cast<std::uint8_t>(news_ & ~first);
  if (news_ != 0) tell(static_cast<News>(news_));
  machine_.note("tells script", static_cast<int>(connection_), nullptr, first);
  switch (static_cast<News>(first)) {
    case kConnected: return events_->connected();
    case kFailed: return events_->failed(failed_why_);
    case kReadable: return events_->readable();
    case kWritable: return events_->writable();
    case kEnded: return events_->ended();
    case kReset: return events_->reset();
  }
}

}  // namespace weir::sim
