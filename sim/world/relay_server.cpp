#include "sim/world/relay_server.h"

#include <utility>

#include "sim/world/checkers.h"
#include "sim/world/relays.h"

namespace weir::sim {

using Hello = RelayScript::Hello;
using Way = RelayScript::Way;

// One connection from weir.
class RelayServer::Peer final : public RelayEnd {
 public:
  Peer(RelayServer& server, Endpoint endpoint, std::uint64_t serial, const EndScript& script)
      : RelayEnd(server.kernel_, server.seed_, server.ledger_, server.relays_, script),
        server_(server),
        serial_(serial) {
    endpoint_ = std::move(endpoint);
    endpoint_.attach(*this);
    kernel().after(0, [this] { read_more(); });
    if (server_.group_ == RelayGroup::upgrade) return;
    pays_ = true;
    kernel().after(script_.delay_ns, [this] { pay(); });
  }
  using RelayEnd::break_off;

 private:
  EndRecord& record() override { return guest().end; }
  void payload_received(std::string_view bytes) override;

  void pay();
  [[nodiscard]] bool introduced();
  void request_received();
  void mark_received();
  void bind(RelayClientRecord& client);
  [[nodiscard]] RelayGuest& guest() { return relays_.guests[serial_]; }
  [[nodiscard]] std::string describe() const;

  RelayServer& server_;
  std::uint64_t serial_;
  std::string unread_;  // Until it is known whose bytes these are.
  Payload expected_;
  bool introduced_ = false;
  bool bound_ = false;
  bool known_ = false;  // The payload is compared as it comes.
};

std::string RelayServer::Peer::describe() const {
  return "end " + std::to_string(serial_) + " of relay server " + std::to_string(server_.number_);
}

void RelayServer::Peer::pay() {
  if (endpoint_.valid()) begin_payload(server_payload(seed_, serial_, script_.bytes));
}

void RelayServer::Peer::payload_received(std::string_view bytes) {
  if (known_) return compare(expected_, bytes, describe());
  unread_ += bytes;
  if (!introduced()) return;
  if (server_.group_ == RelayGroup::upgrade) {
    request_received();
  } else {
    mark_received();
  }
}

// The PROXY header, where weir has to send one.
bool RelayServer::Peer::introduced() {
  if (relays_.send_proxy == 0 || introduced_) return true;
  std::size_t size = 0;
  if (relays_.send_proxy == 1) {
    const std::size_t line = unread_.find("\r\n");
    if (line == std::string::npos && unread_.size() < 108) return false;
    size = line + 2;
  } else {
    if (unread_.size() < 16) return false;
    size = 16 + 256 * static_cast<unsigned char>(unread_[14]) +
           static_cast<unsigned char>(unread_[15]);
    if (unread_.size() < size && size < 300) return false;
  }
  if (unread_ == local_introduction(relays_.send_proxy)) return false;  // A health check.
  RelayClientRecord* client = relays_.introduced_by(unread_.substr(0, size));
  if (client == nullptr) {
    fail("a PROXY header says who the client is", describe() + ": " + unread_.substr(0, 120));
  }
  introduced_ = true;
  unread_.erase(0, size);
  bind(*client);
  return true;
}

void RelayServer::Peer::request_received() {
  const std::size_t end = unread_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  Oracle oracle(Oracle::Side::requests);
  oracle.feed(unread_.substr(0, end + 4));
  check(oracle.next() == Oracle::Event::head, "requests are valid HTTP",
        describe() + ": " + oracle.why());
  const MessageHead& head = oracle.head();
  const auto number = number_from_text(head.target.substr(
      std::min<std::size_t>(std::string_view("/tunnel/").size(), head.target.size())));
  check(number && *number < relays_.clients.size() && head.lists("connection", "upgrade") &&
            head.lists("upgrade", "websocket"),
        "a tunnel is what was asked for", describe() + ": " + head.target);
  RelayClientRecord& client = relays_.clients[*number];
  bind(client);
  unread_.erase(0, end + 4);
  known_ = true;
  expected_ = client_payload(seed_, client.script);
  pays_ = true;
  const std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  kernel().after(script_.delay_ns, [this, answer] {
    if (!endpoint_.valid()) return;
    begin_sending(answer);
    pay();
  });
  if (!unread_.empty()) compare(expected_, std::exchange(unread_, {}), describe());
}

// Behind a ClientHello, of any number of records.
void RelayServer::Peer::mark_received() {
  record().heard = unread_.size();
  record().heard_ns = kernel().now_ns();
  std::size_t at = 0;
  while (at + 5 <= unread_.size() && unread_[at] == 0x16) {
    at += 5 + 256 * static_cast<unsigned char>(unread_[at + 3]) +
          static_cast<unsigned char>(unread_[at + 4]);
  }
  if (at >= unread_.size() || unread_[at] == 0x16 || unread_.size() - at < kMarkBytes) return;
  const auto number = number_of_mark('C', std::string_view(unread_).substr(at));
  check(number && *number < relays_.clients.size(), "bytes of a relay",
        describe() + ": no client begins so: " + unread_.substr(at, 60));
  RelayClientRecord& client = relays_.clients[*number];
  bind(client);
  known_ = true;
  expected_ = client_payload(seed_, client.script);
  record().heard = 0;
  compare(expected_, std::exchange(unread_, {}), describe());
}

void RelayServer::Peer::bind(RelayClientRecord& client) {
  const std::uint32_t number = client.script.number;
  const std::string who = describe() + ", client " + std::to_string(number);
  // Of one who may not say who he is nothing may come, but weir may have spoken of him already.
  const bool silent =
      unread_.empty() && client.script.introduction == RelayScript::Introduction::spoofed;
  check(client.begun_ns != 0 && (silent || !client.script.refused()),
        "who is refused reaches no server", who);
  // A name that has not come in time is none.
  const bool late = kernel().now_ns() - client.begun_ns >= kClientHeadMinNs &&
                    server_.manners_.default_backend && server_.group_ == RelayGroup::any;
  check(late || server_.group_of(client.script) == server_.group_, "relays go where they are to go",
        who);
  RelayGuest& mine = guest();
  check(!mine.client || *mine.client == number, "a server's connection has one client", who);
  mine.client = number;
  if (std::exchange(bound_, true)) return;
  // A request may be sent again to another server; a connection goes to one.
  check(client.guests.empty() || client.script.way == Way::upgrade,
        "a connection is relayed to one server", who);
  client.guests.push_back(serial_);
}

// --- The server ----------------------------------------------------------------------------------

RelayServer::RelayServer(Kernel& kernel, std::uint64_t seed, Ledger& ledger, RelayLedger& relays,
                         const RelayManners& manners, RelayGroup group, std::uint32_t number,
                         const os::Address& address)
    : kernel_(kernel),
      seed_(seed),
      ledger_(ledger),
      relays_(relays),
      manners_(manners),
      group_(group),
      number_(number),
      address_(address) {}

RelayServer::~RelayServer() = default;

void RelayServer::listen(Listener::Answer answer) {
  kernel_.trace("relay server listens", number_, static_cast<std::uint64_t>(answer));
  if (listener_ == nullptr) {
    listener_ = std::make_unique<Listener>(kernel_, address_, [this](Endpoint endpoint) {
      const std::uint64_t serial = relays_.guests.size();
      kernel_.trace("relay server accepts", endpoint.connection(), serial);
      RelayGuest& guest = relays_.guests.emplace_back();
      guest.serial = serial;
      guest.server = number_;
      guest.end.script = draw_relay_server(seed_, serial, manners_);
      peers_.push_back(
          std::make_unique<Peer>(*this, std::move(endpoint), serial, guest.end.script));
    });
  }
  listener_->answer(answer);
}

void RelayServer::vanish() {
  listener_.reset();
  for (const auto& peer : peers_) peer->break_off();
}

RelayGroup RelayServer::group_of(const RelayScript& script) const {
  if (script.way == Way::upgrade) return RelayGroup::upgrade;
  if (script.way == Way::connect || !manners_.by_name) return RelayGroup::any;
  if (script.hello == Hello::below) return RelayGroup::below;
  const bool named = script.hello == Hello::exact;
  return named || manners_.default_backend ? RelayGroup::any : RelayGroup::count_;
}

}  // namespace weir::sim
