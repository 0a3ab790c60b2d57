#include "sim/kernel/network.h"

#include <algorithm>
#include <utility>

namespace weir::sim {

using os::IoStatus;

// --- Listening -----------------------------------------------------------------------------------

bool Network::may_bind(const Place& place, bool exclusive) const {
  return std::none_of(listeners_.begin(), listeners_.end(), [&](const auto& other) {
    return other->place().overlaps(place) && (exclusive || !other->shares());
  });
}

std::uint16_t Network::free_port(Place place) const {
  do {
    place.ip.port = static_cast<std::uint16_t>(machine_.chance.between(32'768, 60'999));
  } while (!may_bind(place, true));
  return place.ip.port;
}

Network::ListenResult Network::listen(Place place, bool exclusive, std::size_t backlog) {
  if (place.is_path()) {
    // Unix sockets cannot share a path. A file whose owner is gone is replaced; to find out, the
    // program knocks, and whoever listens sees a client that leaves again.
    if (!exclusive) return {IoStatus::unsupported, nullptr};
    if (const auto knock = connect_path(place.path)) knock->released();
    if (find_path(place.path)) return {IoStatus::in_use, nullptr};
  } else {
    if (place.ip.port == 0) place.ip.port = free_port(place);
    if (!may_bind(place, exclusive)) return {IoStatus::in_use, nullptr};
  }
  auto socket = std::make_shared<ListenSocket>(machine_, *this, place, backlog, !place.is_path());
  if (place.is_path()) paths_[place.path] = socket;
  listeners_.push_back(socket);
  return {IoStatus::done, std::move(socket)};
}

bool Network::is_listening(const std::shared_ptr<ListenSocket>& socket) const {
  return std::find(listeners_.begin(), listeners_.end(), socket) != listeners_.end();
}

void Network::stop_listening(const ListenSocket& socket) {
  std::erase_if(listeners_, [&](const auto& other) { return other.get() == &socket; });
}

// An exact address goes before the wildcard; in a group that shares one, chance decides as the
// hash of the addresses does.
std::shared_ptr<ListenSocket> Network::find_listener(const Place& to) {
  std::vector<std::shared_ptr<ListenSocket>> exact;
  std::vector<std::shared_ptr<ListenSocket>> any;
  for (const auto& listener : listeners_) {
    if (listener->place().is_path() || !listener->place().overlaps(to)) continue;
    (listener->place().is_any() ? any : exact).push_back(listener);
  }
  auto& group = exact.empty() ? any : exact;
  if (group.empty()) return nullptr;
  return group[group.size() == 1 ? 0 : machine_.chance.between(0, group.size() - 1)];
}

// --- Connecting ----------------------------------------------------------------------------------

Shape Network::draw_shape(const EndpointOptions& options) {
  Chance& chance = machine_.chance;
  const Conditions& c = machine_.conditions;
  const auto draw = [&](const auto& fixed, const Range& range) -> std::uint64_t {
    if (fixed) return *fixed;
    return range.low == range.high ? range.low : chance.spread(range.low, range.high);
  };
  const std::optional<std::uint64_t> drawn;
  Shape shape;
  shape.latency_ns = draw(options.latency_ns, c.latency_ns);
  shape.segment_bytes = draw(drawn, c.segment_bytes);
  shape.receive_window = draw(options.receive_window, c.receive_window_bytes);
  shape.send_buffer = draw(options.send_buffer, c.send_buffer_bytes);
  return shape;
}

std::shared_ptr<StreamSocket> Network::connect(const Place& to, const EndpointOptions& options) {
  Shape shape = draw_shape(options);
  shape.remote = to.ip;
  if (options.from) {
    shape.local = *options.from;
  } else {
    shape.local = to.ip;  // A machine reaches its own addresses from the same address.
    shape.local.port = 0;
  }
  if (shape.local.port == 0) {
    shape.local.port = static_cast<std::uint16_t>(32'768 + next_port_++ % 28'232);
  }
  const std::uint64_t number = next_connection_++;
  auto client = std::make_shared<StreamSocket>(machine_, *this, number, shape);
  connections_[number] = {client, nullptr};
  if (!connect_fault(client)) send_syn(client, to, 0, shape.latency_ns);
  return client;
}

// Whether the attempt fails for a reason of the network.
bool Network::connect_fault(const std::shared_ptr<StreamSocket>& client) {
  Chance& chance = machine_.chance;
  const auto fail_after = [&](std::uint64_t delay_ns, IoStatus why) {
    mark_killed(client->connection());
    machine_.clock.after(delay_ns, [client, why] { client->fail(why); });
    return true;
  };
  const std::uint64_t round_trip = 2 * client->shape().latency_ns;
  if (chance.happens(Fault::connect_refused)) return fail_after(round_trip, IoStatus::refused);
  if (chance.happens(Fault::connect_unreachable)) {
    return fail_after(chance.spread(1, 3 * kNsPerSecond), IoStatus::unreachable);
  }
  if (chance.happens(Fault::connect_timed_out)) {
    return fail_after(chance.between(3, 130) * kNsPerSecond, IoStatus::timed_out);
  }
  return false;
}

void Network::send_syn(const std::shared_ptr<StreamSocket>& client, const Place& to,
                       unsigned attempt, std::uint64_t delay_ns) {
  if (machine_.chance.happens(Fault::connect_late)) {
    delay_ns += machine_.chance.between(1, 7) * kNsPerSecond;
  }
  machine_.clock.after(delay_ns, [this, client, to, attempt] {
    if (client->connecting()) syn_arrives(client, to, attempt);
  });
}

void Network::syn_arrives(const std::shared_ptr<StreamSocket>& client, const Place& to,
                          unsigned attempt) {
  constexpr unsigned kAttempts = 6;  // As net.ipv4.tcp_syn_retries: 127 seconds in all.
  using Answer = Listener::Answer;
  const auto listener = find_listener(to);
  const Answer answer = listener ? listener->answer : Answer::refuse;
  if (answer == Answer::refuse || answer == Answer::unreachable) {
    const IoStatus why = answer == Answer::refuse ? IoStatus::refused : IoStatus::unreachable;
    return machine_.clock.after(client->shape().latency_ns, [client, why] { client->fail(why); });
  }
  if (answer != Answer::ignore && !listener->full()) return answer_syn(client, listener);
  machine_.note("drops SYN", static_cast<int>(client->connection()), nullptr, attempt);
  const std::uint64_t wait_ns = kNsPerSecond << attempt;
  if (attempt < kAttempts) return send_syn(client, to, attempt + 1, wait_ns);
  machine_.clock.after(wait_ns, [client] { client->fail(IoStatus::timed_out); });
}

std::shared_ptr<StreamSocket> Network::make_child(StreamSocket& client, ListenSocket& listener) {
  Shape shape = draw_shape(listener.options);
  shape.local = client.shape().remote;
  shape.remote = client.shape().local;
  shape.is_unix = client.shape().is_unix;
  if (shape.is_unix) shape.latency_ns = 0;
  auto child = std::make_shared<StreamSocket>(machine_, *this, client.connection(), shape);
  connections_[client.connection()][1] = child;
  StreamSocket::join(client, *child);
  return child;
}

// SYN-ACK to the client, whose ACK then brings the connection into the listener's queue.
void Network::answer_syn(const std::shared_ptr<StreamSocket>& client,
                         const std::shared_ptr<ListenSocket>& listener) {
  const auto child = make_child(*client, *listener);
  child->send_over(0, [this, listener, child](StreamSocket& end) {
    if (!end.connecting()) return child->reject();  // The client has lost interest.
    machine_.note("connected", static_cast<int>(end.connection()));
    end.become_connected();
    end.send_over(0, [this, listener, child](StreamSocket&) { hand_over(listener, child, 0); });
  });
}

void Network::hand_over(const std::shared_ptr<ListenSocket>& listener,
                        const std::shared_ptr<StreamSocket>& child, unsigned attempt) {
  constexpr unsigned kAttempts = 5;  // As net.ipv4.tcp_synack_retries.
  if (!is_listening(listener) || attempt > kAttempts) return child->reject();
  if (listener->full()) {  // The ACK is dropped; the client believes that it is connected.
    return machine_.clock.after(kNsPerSecond << attempt, [this, listener, child, attempt] {
      hand_over(listener, child, attempt + 1);
    });
  }
  listener->enqueue(child);
  listener->tell_waiting(listener);
}

std::shared_ptr<ListenSocket> Network::find_path(const std::string& path) const {
  const auto file = paths_.find(path);
  if (file == paths_.end()) return nullptr;
  const auto listener = file->second.lock();
  return listener && is_listening(listener) ? listener : nullptr;
}

std::shared_ptr<StreamSocket> Network::connect_path(const std::string& path) {
  const auto listener = find_path(path);
  if (!listener || listener->full()) return nullptr;
  Shape shape = draw_shape({});
  shape.is_unix = true;
  shape.latency_ns = 0;
  const std::uint64_t number = next_connection_++;
  auto client = std::make_shared<StreamSocket>(machine_, *this, number, shape);
  connections_[number] = {client, nullptr};
  auto child = make_child(*client, *listener);
  client->become_connected();
  listener->enqueue(std::move(child));
  listener->tell_waiting(listener);
  return client;
}

void Network::forget(std::uint64_t connection) {
  const auto at = connections_.find(connection);
  if (at == connections_.end()) return;
  const Ends ends = std::move(at->second);  // One of them may be the caller.
  connections_.erase(at);
  for (const auto& end : ends) {
    if (end) end->separate();
  }
}

void Network::clear() {
  while (!connections_.empty()) forget(connections_.begin()->first);
  listeners_.clear();
}

}  // namespace weir::sim
