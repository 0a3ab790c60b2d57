// Network: who listens where, and the connections between them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "os/io_result.h"
#include "sim/kernel/listen_socket.h"
#include "sim/kernel/machine.h"
#include "sim/kernel/peer.h"
#include "sim/kernel/place.h"
#include "sim/kernel/stream.h"

namespace weir::sim {

class Network {
 public:
  explicit Network(Machine& machine) : machine_(machine) {}

  struct ListenResult {
    os::IoStatus status;
    std::shared_ptr<ListenSocket> socket;
  };
  // `exclusive`: nobody else may listen there now; else all who do must share.
  [[nodiscard]] ListenResult listen(Place place, bool exclusive, std::size_t backlog);
  void stop_listening(const ListenSocket& socket);

  // Starts connecting over TCP; the socket tells how it ends.
  [[nodiscard]] std::shared_ptr<StreamSocket> connect(const Place& to,
                                                      const EndpointOptions& options = {});
  // Connects to a unix socket at once, or null: refused.
  [[nodiscard]] std::shared_ptr<StreamSocket> connect_path(const std::string& path);

  // A fault has ended this connection or the attempt to make it.
  void mark_killed(std::uint64_t connection) { killed_.insert(connection); }
  [[nodiscard]] bool killed(std::uint64_t connection) const { return killed_.contains(connection); }
  // Both ends of a connection are done.
  void forget(std::uint64_t connection);
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  // Forgets everything, for the end of the kernel.
  void clear();

 private:
  using Ends = std::array<std::shared_ptr<StreamSocket>, 2>;

  [[nodiscard]] Shape draw_shape(const EndpointOptions& options);
  [[nodiscard]] bool may_bind(const Place& place, bool exclusive) const;
  [[nodiscard]] std::uint16_t free_port(Place place) const;
  [[nodiscard]] std::shared_ptr<ListenSocket> find_listener(const Place& to);
  [[nodiscard]] std::shared_ptr<ListenSocket> find_path(const std::string& path) const;
  [[nodiscard]] bool is_listening(const std::shared_ptr<ListenSocket>& socket) const;
  [[nodiscard]] bool connect_fault(const std::shared_ptr<StreamSocket>& client);
  void send_syn(const std::shared_ptr<StreamSocket>& client, const Place& to, unsigned attempt,
                std::uint64_t delay_ns);
  void syn_arrives(const std::shared_ptr<StreamSocket>& client, const Place& to, unsigned attempt);
  void answer_syn(const std::shared_ptr<StreamSocket>& client,
                  const std::shared_ptr<ListenSocket>& listener);
  void hand_over(const std::shared_ptr<ListenSocket>& listener,
                 const std::shared_ptr<StreamSocket>& child, unsigned attempt);
  [[nodiscard]] std::shared_ptr<StreamSocket> make_child(StreamSocket& client,
                                                         ListenSocket& listener);

  Machine& machine_;
  std::vector<std::shared_ptr<ListenSocket>> listeners_;
  std::map<std::string, std::weak_ptr<ListenSocket>> paths_;  // Files of unix sockets.
  std::map<std::uint64_t, Ends> connections_;
  std::set<std::uint64_t> killed_;
  std::uint64_t next_connection_ = 1;
  std::uint16_t next_port_ = 0;
};

}  // namespace weir::sim
