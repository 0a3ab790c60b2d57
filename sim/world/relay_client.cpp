#include "sim/world/relay_client.h"

#include <utility>

#include "sim/world/checkers.h"
#include "sim/world/relays.h"

namespace weir::sim {
namespace {

using Way = RelayScript::Way;

std::string key_of(const os::Peer& peer) {
  char text[os::Peer::kTextMax];
  return std::string(peer.text(text)) + " " + std::to_string(peer.port);
}

}  // namespace

RelayClient::RelayClient(Kernel& kernel, std::uint64_t seed, Ledger& ledger, RelayLedger& relays,
                         const RelayManners& manners, const RelayScript& script)
    : RelayEnd(kernel, seed, ledger, relays, script.end), manners_(manners), relay_(script) {}

void RelayClient::begin() {
  kernel().after(relay_.start_ns, [this] { connect(); });
}

void RelayClient::connect() {
  EndpointOptions options;
  if (relay_.trusted()) options.from = trusted_proxy();
  endpoint_ = Endpoint::connect(kernel(), relay_listener(relay_.way != Way::tcp), *this, options);
  ++ledger_.totals.relays;
  RelayClientRecord& record = mine();
  record.begun_ns = kernel().now_ns();
  const bool named = relay_.named_client();
  record.source = named ? relay_.named() : endpoint_.local();
  record.destination = named ? named_destination() : endpoint_.remote();
  if (relay_.introduction == RelayScript::Introduction::with_tlvs) record.tlvs = relay_tlvs();
  record.address = key_of(record.source);
}

void RelayClient::failed(os::IoStatus why) {
  endpoint_ = {};
  finished_ = true;
  const Weather& weather = ledger_.weather;
  check(weather.stopping || weather.connects_fail || weather.resets, "clients can connect",
        describe() + ": " + os::to_string(why));
}

void RelayClient::connected() {
  begin_sending(relay_.introduction_text());
  if (relay_.introduction == RelayScript::Introduction::truncated) {
    begin_payload({});
    return sent_all();  // It may end, or wait.
  }
  begin_sending(relay_.request());
  mine().formed = relay_.way == Way::tcp;
  if (relay_.way != Way::tcp && !relay_.early) return;
  pays_ = true;
  kernel().after(script_.delay_ns, [this] { pay(); });
}

void RelayClient::pay() {
  if (!endpoint_.valid() || std::exchange(paying_, true)) return;
  begin_payload(client_payload(seed_, relay_));
}

// --- What comes ----------------------------------------------------------------------------------

void RelayClient::payload_received(std::string_view bytes) {
  if (mine().formed && mine().serial) return compare(expected_, bytes, describe());
  unread_ += bytes;
  if (!mine().formed) head_received();
  if (mine().formed && endpoint_.valid()) mark_received();
}

// Of the answer to what it has asked for. Whoever gets none leaves.
void RelayClient::head_received() {
  const std::size_t end = unread_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  Oracle oracle(Oracle::Side::responses);
  oracle.feed(unread_.substr(0, end + 4));
  check(oracle.next() == Oracle::Event::head, "answers are valid HTTP",
        describe() + ": " + oracle.why());
  if (oracle.head().status == 100) {  // Whoever ends its side in the queue is asked for a sign.
    unread_.erase(0, end + 4);
    return head_received();
  }
  mine().status = oracle.head().status;
  const bool upgrade = relay_.way == Way::upgrade;
  if (mine().status >= 300 || (upgrade && mine().status == 200)) return close();
  check(mine().status == (upgrade ? 101 : 200), "a tunnel is what was asked for", describe());
  check(!upgrade || oracle.head().lists("upgrade", "websocket"), "a tunnel is what was asked for",
        describe());
  unread_.erase(0, end + 4);
  mine().formed = true;
  kernel().trace("tunnel is formed", relay_.number);
  pays_ = true;
  kernel().after(script_.delay_ns, [this] { pay(); });
}

void RelayClient::mark_received() {
  record().heard = unread_.size();
  record().heard_ns = kernel().now_ns();
  if (unread_.size() < kMarkBytes) return;
  const auto serial = number_of_mark('S', unread_);
  check(serial && *serial < relays_.guests.size(), "bytes of a relay",
        describe() + ": no server begins so: " + unread_.substr(0, 60));
  RelayGuest& guest = relays_.guests[*serial];
  check(!guest.client || *guest.client == relay_.number, "a server's connection has one client",
        describe() + ": guest " + std::to_string(*serial) + " is of another");
  guest.client = relay_.number;
  mine().serial = serial;
  expected_ = server_payload(seed_, *serial, guest.end.script.bytes);
  record().heard = 0;
  compare(expected_, std::exchange(unread_, {}), describe());
}

std::string RelayClient::describe() const {
  const RelayClientRecord& record = relays_.clients[relay_.number];
  std::string text = "relay " + std::to_string(relay_.number) + " (" + record.address + ", sent " +
                     std::to_string(record.end.sent) + ", heard " +
                     std::to_string(record.end.heard);
  if (record.status != 0) text += ", answer " + std::to_string(record.status);
  if (record.serial) text += ", server's end " + std::to_string(*record.serial);
  return text + ")";
}

}  // namespace weir::sim
