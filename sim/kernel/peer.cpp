#include "sim/kernel/peer.h"

#include <utility>

#include "base/check.h"
#include "sim/kernel/kernel.h"
#include "sim/kernel/parts.h"

namespace weir::sim {

// --- Endpoint ------------------------------------------------------------------------------------

Endpoint::Endpoint() = default;
Endpoint::Endpoint(std::shared_ptr<StreamSocket> socket) : socket_(std::move(socket)) {}
Endpoint::Endpoint(Endpoint&& other) noexcept = default;
Endpoint& Endpoint::operator=(Endpoint&& other) noexcept {
  if (this != &other) {
    close();
    socket_ = std::move(other.socket_);
  }
  return *this;
}
Endpoint::~Endpoint() { close(); }

Endpoint Endpoint::connect(Kernel& kernel, const os::Address& to, EndpointEvents& events,
                           const EndpointOptions& options) {
  Network& network = kernel.parts().network;
  const Place place = place_of(to);
  auto socket =
      place.is_path() ? network.connect_path(place.path) : network.connect(place, options);
  if (!socket) return {};
  Endpoint endpoint(std::move(socket));
  endpoint.attach(events);
  return endpoint;
}

void Endpoint::attach(EndpointEvents& events) { socket_->attach(&events); }

std::size_t Endpoint::send(std::string_view data) {
  if (!socket_ || data.empty()) return 0;
  const os::IoResult result = socket_->write(data);
  send_met_reset_ = send_met_reset_ || result.status == os::IoStatus::reset;
  return result.bytes;
}

bool Endpoint::send_urgent(char byte) { return socket_ && socket_->write_urgent(byte); }

os::IoResult Endpoint::receive(char* data, std::size_t size) {
  if (!socket_) return {os::IoStatus::reset, 0};
  const os::IoResult result = socket_->receive(data, size, true);
  if (result.status == os::IoStatus::end && send_met_reset_) return {os::IoStatus::reset, 0};
  return result;
}

std::size_t Endpoint::unread() const { return socket_ ? socket_->unread() : 0; }
bool Endpoint::other_let_go() const { return socket_->other_let_go(); }
std::size_t Endpoint::unacknowledged() const { return socket_ ? socket_->unacknowledged() : 0; }

std::size_t Endpoint::reset_took() const { return socket_ ? socket_->reset_took() : 0; }

void Endpoint::shutdown_send() {
  if (socket_) socket_->shutdown_send();
}

void Endpoint::close() {
  if (const auto socket = std::exchange(socket_, nullptr)) socket->released();
}

void Endpoint::reset() {
  if (socket_) socket_->close_with_reset();
  close();
}

std::uint64_t Endpoint::connection() const { return socket_ ? socket_->connection() : 0; }
os::Peer Endpoint::local() const { return socket_ ? socket_->shape().local : os::Peer{}; }
os::Peer Endpoint::remote() const { return socket_ ? socket_->shape().remote : os::Peer{}; }

void Endpoint::set_receive_window(std::size_t bytes) {
  if (socket_) socket_->set_receive_window(bytes);
}

// --- Listener ------------------------------------------------------------------------------------

Listener::Listener(Kernel& kernel, const os::Address& address, Accept accepted,
                   const EndpointOptions& options) {
  constexpr std::size_t kBacklog = 128;
  const auto result = kernel.parts().network.listen(place_of(address), true, kBacklog);
  CHECK(result.status == os::IoStatus::done, "a script listens where somebody else does");
  socket_ = result.socket;
  socket_->refuse_sharing();
  socket_->options = options;
  socket_->scripted = true;
  socket_->tell = [accepted = std::move(accepted)](std::shared_ptr<StreamSocket> connection) {
    accepted(Endpoint(std::move(connection)));
  };
}

Listener::~Listener() {
  socket_->tell = nullptr;
  socket_->released();
}

void Listener::answer(Answer answer) {
  socket_->answer = answer;
  socket_->tell_waiting(socket_);
}

std::uint16_t Listener::port() const { return socket_->place().ip.port; }
std::size_t Listener::waiting() const { return socket_->waiting(); }

}  // namespace weir::sim
