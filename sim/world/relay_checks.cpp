#include "sim/world/relay_checks.h"

#include <string>

#include "sim/kernel/faults.h"
#include "sim/world/checkers.h"
#include "sim/world/relays.h"

namespace weir::sim {
namespace {

using Ending = EndScript::Ending;
using Hello = RelayScript::Hello;
using Over = EndRecord::Over;
using Way = RelayScript::Way;

// A byte or an end may be late twice on its way across, and the clock's slots are coarse.
constexpr std::uint64_t kCrossingMax = 2 * kLateByNsMax + kSecond;

std::string name_of(const RelayClientRecord& client) {
  return "relay " + std::to_string(client.script.number) +
         (client.word.empty() ? "" : " (" + client.word + ")");
}

std::string describe(const EndRecord& end) {
  constexpr std::string_view kOvers[] = {"no end", "FIN", "RST"};
  std::string text = "sent " + std::to_string(end.sent) + ", heard " + std::to_string(end.heard) +
                     " and " + std::string(kOvers[static_cast<std::size_t>(end.over)]);
  if (end.fin_at) text += ", FIN at " + std::to_string(*end.fin_at);
  return text + (end.broke ? ", broke off" : "");
}

// Somebody's doing can have made weir say this word of this connection.
bool is_excused(const Ledger& ledger, const RelayLedger& relays, const RelayClientRecord& client,
                std::string_view word) {
  const Weather& weather = ledger.weather;
  const RelayScript& script = client.script;
  if (word == "tunnel_idle_timeout") return true;  // judge_relays() knows more.
  if (word == "descriptors_exhausted") return weather.no_descriptors;
  if (word == "buffers_exhausted") return weather.no_memory;
  if (word == "shutting_down") return weather.stopping;
  if (word == "made_room") return weather.crowded || weather.no_descriptors;
  // A hello that has not come in time: nothing of it, or a part.
  const bool slow = script.end.sending.slow() || script.end.ending == Ending::stall || weather.late;
  if (word == "no_route") {
    return (script.hello != Hello::exact && script.hello != Hello::below) || slow;
  }
  if (word == "bad_client_hello") {
    return script.hello == Hello::broken || (script.hello != Hello::none && slow);
  }
  if (word == "bad_proxy_header") return script.trusted() && (script.refused() || weather.late);
  if (word == "untrusted_proxy_header") {
    return script.introduction == RelayScript::Introduction::spoofed;
  }
  if (word.starts_with("queue_") || word == "circuit_open") return relays.limits;
  if (word.starts_with("connect_") || word == "no_healthy_server") {
    return weather.connects_fail || weather.late || relays.servers_leave || relays.checks;
  }
  // Of a tunnel, a request may have left before there was one.
  if (word == "client_closed" && script.way == Way::tcp) {
    return client.end.broke || client.end.killed || weather.resets;
  }
  if (word == "upstream_reset") {
    const bool broke = client.guests.empty() || relays.guests[client.guests.back()].end.broke;
    return weather.resets || relays.servers_leave || broke;
  }
  return script.way != Way::tcp;
}

// A pair of ends that were relayed to each other, and what may be asked of it.
class Judgement {
 public:
  Judgement(const Ledger& ledger, const RelayClientRecord& client, const RelayGuest& guest)
      : weather_(ledger.weather), client_(client), guest_(guest) {}

  void judge() const {
    check_bytes(client_.end, guest_.end);
    check_bytes(guest_.end, client_.end);
    check_word(client_.end, guest_.end);
    // Nothing has failed for weir. A client that breaks off is all the word can mean.
    const bool content = client_.word.empty() || client_.word == "client_closed";
    if (content || client_.word == "upstream_reset" || client_.word == "tunnel_idle_timeout") {
      check_end(client_.end, guest_.end);
      check_end(guest_.end, client_.end);
    }
    if (content) {
      check_half_close(client_.end, guest_.end);
      check_half_close(guest_.end, client_.end);
      check_reset(client_.end, guest_.end);
      check_reset(guest_.end, client_.end);
    }
    if (client_.word != "tunnel_idle_timeout" || weather_.late) return;
    check_idle(client_.end, guest_.end);
    check_idle(guest_.end, client_.end);
  }

 private:
  void check_bytes(const EndRecord& from, const EndRecord& to) const {
    check(to.heard <= from.sent, "bytes of a relay", text());
  }

  // Who resets has not ended in order: the log must tell. Unless the other did so first, or no byte
  // has got through either way.
  void check_word(const EndRecord& client, const EndRecord& server) const {
    const bool reset = client.broke && client.script.ending == Ending::reset;
    if (!reset || server.broke || server.killed || weather_.resets) return;
    if (client.heard + server.heard == 0) return;
    check(!client_.word.empty(), "a client's reset has its word", text());
  }

  // An end in order is somebody's, and comes behind the last byte.
  void check_end(const EndRecord& from, const EndRecord& to) const {
    if (to.over != Over::end || to.script.ending == Ending::deaf) return;
    check(from.fin_at.has_value(), "a reset is not turned into an end", text());
    check(to.heard == *from.fin_at, "an end comes behind the last byte", text());
  }

  // Half-close is carried.
  void check_half_close(const EndRecord& from, const EndRecord& to) const {
    const bool broken = from.broke || to.broke || from.killed || to.killed || weather_.resets;
    if (!from.fin_at || broken || to.script.ending == Ending::deaf) return;
    check(to.over == Over::end, "half-close is carried", text());
  }

  // A reset has a cause at the other end.
  void check_reset(const EndRecord& from, const EndRecord& to) const {
    if (to.over != Over::reset || to.script.ending == Ending::deaf || to.broke) return;
    check(from.broke || from.killed || weather_.resets || from.script.ending == Ending::deaf,
          "a reset has a cause", text());
  }

  // weir has ended it because nothing moved: then nothing has, and nothing was held back.
  void check_idle(const EndRecord& from, const EndRecord& to) const {
    if (to.over == Over::no || to.script.ending == Ending::deaf) return;
    const std::uint64_t quiet_since = to.over_ns - std::min(to.over_ns, kTunnelIdleMinNs);
    const bool carried = from.over != Over::no && to.over_ns + kCrossingMax < from.over_ns;
    check(carried || to.heard_ns <= quiet_since + kCrossingMax, "a relay that moves is not idle",
          text());
    const bool told = from.fin_at && from.over != Over::no && to.script.reads_on() &&
                      from.fin_ns + kCrossingMax < quiet_since && !from.broke;
    // What cannot be delivered is cut, not ended: a reset may overtake the end.
    check(!told || carried || to.over == Over::reset, "half-close is carried", text());
  }

  [[nodiscard]] std::string text() const {
    return name_of(client_) + ": the client " + describe(client_.end) + "; the server " +
           describe(guest_.end);
  }

  const Weather& weather_;
  const RelayClientRecord& client_;
  const RelayGuest& guest_;
};

// The guest that it was relayed to in the end.
const RelayGuest* partner_of(const RelayLedger& relays, const RelayClientRecord& client) {
  if (client.serial) return &relays.guests[*client.serial];
  return client.guests.empty() ? nullptr : &relays.guests[client.guests.back()];
}

}  // namespace

bool take_relay_line(Ledger& ledger, RelayLedger& relays, std::string_view line) {
  const bool tcp = value_of(line, "proto") == "tcp";
  if (!tcp && value_of(line, "listener") != kTunnelName) return false;
  relays.tcp_lines += tcp ? 1 : 0;
  const std::string address =
      std::string(value_of(line, "client")) + " " + std::string(value_of(line, "client_port"));
  RelayClientRecord* client = relays.at_address(address);
  if (client == nullptr) return true;  // Refused before its header was read.
  // Behind a request that was refused, the payload is another.
  if (++client->log_lines > 1) {
    check(!tcp, "one log line per connection", name_of(*client));
    return true;
  }
  client->word = value_of(line, "error");
  check(client->word.empty() || is_excused(ledger, relays, *client, client->word),
        "errors have a cause", name_of(*client) + ": " + std::string(line));
  return true;
}

void judge_relays(Ledger& ledger, RelayLedger& relays) {
  for (RelayClientRecord& client : relays.clients) {
    if (client.judged || client.begun_ns == 0) continue;
    client.judged = true;
    const RelayGuest* guest = partner_of(relays, client);
    if (guest == nullptr || !client.formed) continue;
    check(!guest->client || *guest->client == client.script.number,
          "a server's connection has one client", name_of(client));
    ++ledger.totals.relayed;
    const Weather& weather = ledger.weather;
    if (weather.stopping || weather.no_memory || client.log_lines == 0) continue;
    Judgement(ledger, client, *guest).judge();
  }
}

}  // namespace weir::sim
