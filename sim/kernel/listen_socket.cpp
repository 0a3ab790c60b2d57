#include "sim/kernel/listen_socket.h"

#include <utility>

#include "sim/kernel/network.h"

namespace weir::sim {
namespace {

// sock_def_readable() says the same for every kind of socket.
constexpr std::uint8_t kNews = kIn | kPriority;

}  // namespace

void ListenSocket::enqueue(std::shared_ptr<StreamSocket> connection) {
  machine_.note("waits for accept", static_cast<int>(connection->connection()));
  queue_.push_back(std::move(connection));
  if (!held_) wake(kNews);
}

std::shared_ptr<StreamSocket> ListenSocket::take() {
  if (queue_.empty() || held_) return nullptr;
  auto connection = std::move(queue_.front());
  queue_.pop_front();
  if (owed_ > 0) --owed_;
  return connection;
}

void ListenSocket::hold(const std::shared_ptr<ListenSocket>& self) {
  held_ = true;
  excuse();
  machine_.clock.after(machine_.chance.spread(kNsPerUs, kRepairedWithinNs), [self] {
    self->held_ = false;
    if (!self->queue_.empty()) self->wake(kNews);
  });
}

void ListenSocket::refuse_handshakes() {
  if (place_.is_path()) return;
  answer = Listener::Answer::ignore;
  owed_ = held_ ? 0 : queue_.size();
}

void ListenSocket::released() {
  network_.stop_listening(*this);
  // Nobody will accept them: they are reset, not ended.
  machine_.queue_resets += owed_;
  while (!queue_.empty()) {
    const auto connection = std::move(queue_.front());
    queue_.pop_front();
    connection->reject();
  }
}

void ListenSocket::tell_waiting(const std::shared_ptr<ListenSocket>& self) {
  if (!tell || queue_.empty() || answer == Listener::Answer::hold) return;
  if (std::exchange(telling_, true)) return;
  machine_.clock.after(0, [self] {
    self->telling_ = false;
    // A script may have closed or changed the listener since.
    if (!self->tell || self->answer == Listener::Answer::hold) return;
    const auto connection = self->take();
    self->tell_waiting(self);
    if (connection) self->tell(connection);
  });
}

std::string ListenSocket::describe() const {
  return "listening socket at " + place_.text() + ", " + std::to_string(queue_.size()) + " waiting";
}

}  // namespace weir::sim
