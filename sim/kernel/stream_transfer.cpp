// How a StreamSocket's bytes get from one end to the other: buffers, windows, acknowledgements.

#include <algorithm>
#include <utility>

#include "sim/kernel/network.h"
#include "sim/kernel/stream.h"

namespace weir::sim {

using os::IoResult;
using os::IoStatus;

// --- Sending -------------------------------------------------------------------------------------

void StreamSocket::send_over(std::uint64_t delay_ns,
                             std::function<void(StreamSocket& other)> action) {
  if (other_ == nullptr) return;
  // A tenth of jitter; the order of a connection is kept.
  const std::uint64_t jitter = machine_.chance.between(0, shape_.latency_ns / 10);
  const std::uint64_t arrival = machine_.clock.now_ns() + shape_.latency_ns + jitter + delay_ns;
  last_arrival_ns_ = std::max(last_arrival_ns_, arrival);
  machine_.clock.at(last_arrival_ns_, [other = other_->shared_from_this(), action] {
    action(*other);
    other->retire_if_finished();
  });
}

std::optional<IoResult> StreamSocket::why_not_write() {
  if (state_ == State::connecting) return IoResult{IoStatus::again, 0};
  if (error_ != IoStatus::done && !shape_.is_unix) return IoResult{take_error(), 0};
  if (!sends_) return IoResult{IoStatus::broken_pipe, 0};
  return {};
}

// At least a third of the buffer is free (sk_stream_is_writeable).
bool StreamSocket::has_room() const {
  return shape_.send_buffer >= unacknowledged() + unacknowledged() / 2;
}

void StreamSocket::offer_room() {
  // A unix socket tells of any room, whether somebody missed it or not.
  if ((!wants_room_ && !shape_.is_unix) || !has_room() || state_ != State::connected) return;
  wants_room_ = false;
  wake(kOut);
  tell(kWritable);
}

// How many of the bytes that are offered are to be taken now.
IoResult StreamSocket::may_write(std::size_t size, std::size_t most) {
  if (const auto refused = why_not_write()) return *refused;
  if (size == 0) return {IoStatus::end, 0};
  const std::size_t used = unacknowledged();
  const std::size_t room = shape_.send_buffer > used ? shape_.send_buffer - used : 0;
  const std::size_t taken = std::min({size, room, most});
  if (taken < size) {
    want_room();
    // Refused by a fault, not for lack of room: nothing is under way that would tell of it.
    if (most < std::min(size, room)) {
      machine_.clock.after(machine_.chance.spread(kNsPerUs, kRepairedWithinNs),
                           [self = shared_from_this()] { self->offer_room(); });
    }
  }
  if (taken == 0) return {IoStatus::again, 0};
  return {IoStatus::done, taken};
}

IoResult StreamSocket::write(std::string_view data, std::size_t most) {
  const IoResult taken = may_write(data.size(), most);
  if (taken.status == IoStatus::done) send_next(copy(data.substr(0, taken.bytes)));
  return taken;
}

IoResult StreamSocket::write_in_place(Stretches data, std::size_t most) {
  const IoResult taken = may_write(data.size(), most);
  if (taken.status == IoStatus::done) send_next(page_by_page(data.take(taken.bytes)));
  return taken;
}

Stretches StreamSocket::copy(std::string_view data) {
  if (!shape_.is_unix) return machine_.page_fragment.copy(data);
  Stretches message;
  message.append({std::string(data)});
  return message;
}

void StreamSocket::send_next(const Stretches& data) {
  for (const Stretch& stretch : data) unsent_.append(stretch);
  written_ += data.size();
  transmit();
}

bool StreamSocket::write_urgent(char byte) {
  if (why_not_write() || unacknowledged() >= shape_.send_buffer) return false;
  mark_ = written_;
  send_next(copy({&byte, 1}));
  return true;
}

std::size_t StreamSocket::next_segment() const {
  std::uint64_t size = std::min(
      {written_ - transmitted_, window_end_ - transmitted_, std::uint64_t{shape_.segment_bytes}});
  // The mark is at the end of its segment.
  if (mark_ && *mark_ >= transmitted_) size = std::min(size, *mark_ - transmitted_ + 1);
  return static_cast<std::size_t>(size);
}

void StreamSocket::transmit() {
  while (state_ == State::connected && written_ > transmitted_ && window_end_ > transmitted_) {
    std::size_t size = next_segment();
    if (machine_.chance.happens(Fault::segment_small)) size = machine_.chance.spread(1, size);
    transmit_segment(size);
  }
  if (unsent_.empty() && !sends_ && state_ == State::connected) transmit_fin();
}

void StreamSocket::transmit_segment(std::size_t size) {
  Chance& chance = machine_.chance;
  if (!shape_.is_unix && chance.happens(Fault::reset)) {
    reset_peer_from_outside();
    machine_.clock.after(shape_.latency_ns, [self = shared_from_this()] { self->arrive_reset(); });
    return;
  }
  const std::uint64_t late =
      chance.happens(Fault::segment_late) ? chance.spread(kNsPerMs, 3 * kNsPerSecond) : 0;
  transmitted_ += size;
  const bool urgent = mark_ && *mark_ == transmitted_ - 1;
  send_over(late, [bytes = unsent_.take(size), urgent](StreamSocket& other) {
    other.arrive_data(bytes, urgent);
  });
}

void StreamSocket::reset_peer_from_outside() {
  network_.mark_killed(connection_);
  window_end_ = transmitted_;  // Nothing more gets away.
  send_over(0, [](StreamSocket& other) { other.arrive_reset(); });
}

void StreamSocket::reset_from_outside() {
  reset_peer_from_outside();
  arrive_reset();
}

void StreamSocket::transmit_fin() {
  if (std::exchange(fin_sent_, true)) return;
  Chance& chance = machine_.chance;
  const std::uint64_t late =
      chance.happens(Fault::fin_late) ? chance.spread(10 * kNsPerUs, kNsPerSecond) : 0;
  send_over(late, [](StreamSocket& other) { other.arrive_end(); });
}

void StreamSocket::drop_unsent() {
  unsent_.clear();
  acknowledged_ = transmitted_ = written_;
}

void StreamSocket::shutdown_send() {
  if (state_ == State::connecting) return close_both_ways();
  sends_ = false;
  wake(kUnspecified);
  // Over a unix socket the other end is woken every time.
  if (shape_.is_unix && fin_sent_) {
    send_over(0, [](StreamSocket& other) { other.wake(kUnspecified); });
  }
  transmit();
}

void StreamSocket::arrive_acknowledgement(std::uint64_t acknowledged, std::uint64_t window_end) {
  if (state_ != State::connected) return;
  acknowledged_ = std::max(acknowledged_, acknowledged);
  window_end_ = std::max(window_end_, window_end);
  transmit();
  offer_room();
}

// --- Receiving -----------------------------------------------------------------------------------

void StreamSocket::arrive_data(Stretches bytes, bool urgent) {
  if (state_ != State::connected) return;
  machine_.note("data arrives", static_cast<int>(connection_), nullptr, bytes.size());
  if (released_) return abort();  // Nobody will ever read it.
  const std::size_t offset = machine_.chance.between(0, kPageBytes - 1);
  const double position = static_cast<double>(offset) / kPageBytes;
  if (machine_.chance.happens(Fault::memory_apart, position)) {
    bytes = lay_apart(bytes.text(), offset);
  }
  received_.append(bytes, !shape_.is_unix, urgent);
  if (!shape_.is_unix) acknowledge();
  if (received_.held()) return;
  wake(kIn | kPriority);
  tell(kReadable);
}

void StreamSocket::arrive_end() {
  if (other_ != nullptr && !shape_.is_unix) {
    machine_.clock.after(shape_.latency_ns, [other = other_->shared_from_this()] {
      other->arrive_end_acknowledgement();
    });
  }
  if (state_ != State::connected) return;
  if (received_.held()) {
    end_is_held_ = true;
  } else {
    take_end();
  }
}

void StreamSocket::take_end() {
  machine_.note("end arrives", static_cast<int>(connection_));
  ended_ = true;
  receives_ = false;
  wake(kUnspecified);
  tell(kEnded);
  if (end_acknowledged_) close_both_ways();
}

// TCP's change of state, to FIN_WAIT2 or to the end, wakes whoever watches.
void StreamSocket::arrive_end_acknowledgement() {
  if (state_ != State::connected) return;
  end_acknowledged_ = true;
  if (ended_) return close_both_ways();
  wake(kUnspecified);
}

void StreamSocket::hold(std::size_t visible) {
  received_.hold(visible);
  machine_.clock.after(machine_.chance.spread(kNsPerUs, kRepairedWithinNs),
                       [self = shared_from_this()] { self->release_held(); });
}

void StreamSocket::release_held() {
  if (!received_.held()) return;
  received_.release();
  wake(kIn | kPriority);
  tell(kReadable);
  if (std::exchange(end_is_held_, false)) take_end();
}

void StreamSocket::acknowledge() {
  if (other_ == nullptr) return;
  advertised_ = std::max(advertised_, received_.consumed() + shape_.receive_window);
  machine_.clock.after(shape_.latency_ns, [other = other_->shared_from_this(),
                                           position = received_.end(), window_end = advertised_] {
    other->arrive_acknowledgement(position, window_end);
  });
}

// Tells the sender of new room, but not of every few bytes.
void StreamSocket::after_reading() {
  if (shape_.is_unix) {
    // The sender's buffer is this queue: it has room at once when pieces are used up.
    if (std::exchange(advertised_, received_.freed()) < received_.freed() && other_ != nullptr) {
      other_->arrive_acknowledgement(advertised_, kNever);
    }
    return;
  }
  const std::uint64_t window_end = received_.consumed() + shape_.receive_window;
  if (window_end <= advertised_) return;
  const std::uint64_t news = window_end - advertised_;
  if (received_.unread() == 0 || news >= shape_.receive_window / 2 ||
      news >= 2 * shape_.segment_bytes) {
    acknowledge();
  }
}

// What recv() says without bytes; the order is Linux's.
IoResult StreamSocket::why_nothing() {
  if (ended_ && !shape_.is_unix) return {IoStatus::end, 0};
  if (error_ != IoStatus::done) return {take_error(), 0};
  if (!receives_) return {IoStatus::end, 0};
  return {IoStatus::again, 0};
}

IoResult StreamSocket::receive(char* data, std::size_t size, bool take) {
  const std::size_t before = received_.unread();
  const std::size_t copied = received_.read(data, size, take);
  if (received_.unread() != before) after_reading();
  if (copied > 0) return {IoStatus::done, copied};
  return why_nothing();
}

IoResult StreamSocket::splice_into(Pipe& pipe, std::size_t size) {
  if (pipe.free_slots() == 0) return {IoStatus::again, 0};
  const std::size_t moved = received_.splice_into(pipe, size, machine_.page_fragment);
  if (moved == 0) return why_nothing();
  after_reading();
  pipe.tell_reader();
  return {IoStatus::done, moved};
}

void StreamSocket::set_receive_window(std::size_t bytes) {
  shape_.receive_window = bytes;
  if (state_ == State::connected) after_reading();
}

}  // namespace weir::sim
