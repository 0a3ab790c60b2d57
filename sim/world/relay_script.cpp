#include "sim/world/relay_script.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace weir::sim {
namespace {

using Ending = EndScript::Ending;
using Introduction = RelayScript::Introduction;
using Hello = RelayScript::Hello;
using Way = RelayScript::Way;

constexpr std::uint32_t kRunsWithRelays = 40;  // Of a hundred.
constexpr char kSignature[] = "\r\n\r\n\0\r\nQUIT\n";
constexpr std::string_view kTlvs("\xe0\x00\x04same\x05\x00\x02id", 12);

std::string big_endian(std::uint64_t value, unsigned bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> (8 * bytes));
  return text;
}

os::Peer ipv4(std::array<std::uint8_t, 4> ip, std::uint16_t port) {
  os::Peer peer;
  std::ranges::copy(ip, peer.ip.begin());
  peer.port = port;
  peer.family = os::Peer::Family::ipv4;
  return peer;
}

std::string_view name_of(Hello hello) {
  switch (hello) {
    case Hello::exact: return "one.exact.sim";
    case Hello::below: return "Any.of.Below.sim";
    case Hello::elsewhere: return "nobody.sim";
    default: return {};
  }
}

// RFC 8446 4.1.2, RFC 6066 3. A broken one lies about the length of its session id.
std::string hello_message(Hello hello, std::uint32_t number) {
  const std::string_view name = name_of(hello);
  std::string extensions = big_endian(0xff01, 2) + big_endian(1, 2) + big_endian(0, 1);
  if (!name.empty()) {
    extensions += big_endian(0, 2) + big_endian(name.size() + 5, 2) +
                  big_endian(name.size() + 3, 2) + big_endian(0, 1) + big_endian(name.size(), 2);
    extensions += name;
  }
  std::string body = big_endian(0x0303, 2) + std::string(28, 'r') + big_endian(number, 4);
  body += big_endian(hello == Hello::broken ? 200 : 0, 1);
  body += big_endian(2, 2) + big_endian(0x1301, 2) + big_endian(1, 1) + big_endian(0, 1);
  body += big_endian(extensions.size(), 2) + extensions;
  return big_endian(1, 1) + big_endian(body.size(), 3) + body;
}

std::string hello_text(const RelayScript& script) {
  if (script.hello == Hello::none) return {};
  const std::string message = hello_message(script.hello, script.number);
  const std::size_t most = script.split ? 7 : message.size();
  std::string text;
  for (std::size_t at = 0; at < message.size(); at += most) {
    const std::string piece = message.substr(at, most);
    text += big_endian(0x160301, 3) + big_endian(piece.size(), 2) + piece;
  }
  return text;
}

void draw_end(Prng& prng, EndScript& end, const RelayManners& manners) {
  const bool rough = !manners.plain;
  end.sending = draw_pace(prng, rough ? manners.slow_percent : 0);
  end.reading = draw_pace(prng, rough ? manners.slow_percent : 0);
  if (end.reading.slow()) end.reading.piece_max += 1024;
  end.bytes = draw_body(prng, manners.bytes_max, end.sending);
  if (percent(prng, 50)) end.delay_ns = spread(prng, 3 * kSecond);
  if (percent(prng, 30)) end.ending = Ending::wait;
  if (!rough || !percent(prng, manners.breaking_percent)) return;
  constexpr Ending kRough[] = {Ending::close, Ending::reset, Ending::stall, Ending::deaf};
  end.ending = kRough[prng.bounded(std::size(kRough))];
  end.ending_at = prng.bounded(end.bytes + 40);
}

Introduction draw_introduction(Prng& prng, const RelayManners& manners) {
  if (!manners.accept_proxy || percent(prng, 25)) return Introduction::none;
  constexpr std::uint64_t kValid = static_cast<std::uint64_t>(Introduction::local);
  constexpr std::uint64_t kAll = static_cast<std::uint64_t>(Introduction::spoofed);
  const bool rough = !manners.plain && percent(prng, 20);
  return static_cast<Introduction>(rough ? kValid + 1 + prng.bounded(kAll - kValid)
                                         : 1 + prng.bounded(kValid));
}

std::string proxy_v2(char command, char family, std::string_view block) {
  std::string text(kSignature, sizeof kSignature - 1);
  text += command;
  text += family;
  return text + big_endian(block.size(), 2) + std::string(block);
}

std::string address_text(const os::Peer& peer) {
  char text[os::Peer::kTextMax];
  return std::string(peer.text(text));
}

std::string address_bytes(const os::Peer& peer) {
  return {reinterpret_cast<const char*>(peer.ip.data()), 4};
}

}  // namespace

// --- What clients send first ---------------------------------------------------------------------

std::string_view relay_tlvs() { return kTlvs; }

os::Peer named_destination() { return ipv4({198, 51, 100, 7}, 443); }

os::Peer RelayScript::named() const {
  return ipv4({192, 0, 2, static_cast<std::uint8_t>(1 + number % 250)},
              static_cast<std::uint16_t>(20'000 + number % 12'000));
}

std::string proxy_text(unsigned version, const os::Peer& source, const os::Peer& destination,
                       std::string_view tlvs) {
  if (version == 1) {
    return "PROXY TCP4 " + address_text(source) + " " + address_text(destination) + " " +
           std::to_string(source.port) + " " + std::to_string(destination.port) + "\r\n";
  }
  const std::string block = address_bytes(source) + address_bytes(destination) +
                            big_endian(source.port, 2) + big_endian(destination.port, 2);
  return proxy_v2(0x21, 0x11, block + std::string(tlvs));
}

std::string local_introduction(unsigned version) {
  return version == 1 ? "PROXY UNKNOWN\r\n" : proxy_v2(0x20, 0, {});
}

std::string RelayScript::introduction_text() const {
  switch (introduction) {
    case Introduction::none:
    case Introduction::missing: return {};
    case Introduction::version_1:
    case Introduction::spoofed: return proxy_text(1, named(), named_destination(), {});
    case Introduction::version_2: return proxy_text(2, named(), named_destination(), {});
    case Introduction::with_tlvs: return proxy_text(2, named(), named_destination(), kTlvs);
    case Introduction::local: return local_introduction(2);
    case Introduction::malformed:
      return number % 2 == 0 ? "PROXY TCP4 192.0.2.300 198.51.100.7 1 2\r\n"
                             : proxy_v2(0x21, 0x11, "short");
    case Introduction::truncated: {
      const std::string whole = proxy_text(2, named(), named_destination(), {});
      return whole.substr(0, 1 + number % (whole.size() - 1));
    }
  }
  return {};
}

std::string RelayScript::request() const {
  if (way == Way::tcp) return {};
  if (way == Way::connect) return "CONNECT relay.sim:443 HTTP/1.1\r\nHost: relay.sim:443\r\n\r\n";
  return "GET /tunnel/" + std::to_string(number) +
         " HTTP/1.1\r\nHost: tunnel.sim\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
}

// --- Drawing -------------------------------------------------------------------------------------

RelayManners draw_relay_manners(std::uint64_t seed) {
  Prng prng(mix(seed, 7));
  RelayManners manners;
  if (!percent(prng, kRunsWithRelays)) return manners;
  manners.clients = static_cast<std::uint32_t>(1 + spread(prng, 24));
  manners.servers = static_cast<std::uint32_t>(1 + prng.bounded(3));
  manners.plain = percent(prng, 15);
  if (percent(prng, 70)) manners.breaking_percent = static_cast<std::uint32_t>(spread(prng, 60));
  if (percent(prng, 40)) manners.slow_percent = static_cast<std::uint32_t>(spread(prng, 50));
  manners.bytes_max = percent(prng, 50) ? 1 + spread(prng, 60'000) : 600'000;
  if (percent(prng, 50)) manners.send_proxy = static_cast<std::uint8_t>(1 + prng.bounded(2));
  manners.accept_proxy = percent(prng, 40);
  manners.by_name = percent(prng, 40);
  manners.default_backend = !manners.by_name || percent(prng, 60);
  return manners;
}

RelayManners calmed(const RelayManners& manners) {
  RelayManners calm = manners;
  calm.plain = true;
  calm.slow_percent = calm.breaking_percent = 0;
  calm.bytes_max = std::min<std::uint64_t>(manners.bytes_max, 200'000);
  return calm;
}

RelayScript draw_relay(std::uint64_t seed, std::uint32_t number, const RelayManners& manners) {
  Prng prng(mix(mix(seed, 8), number));
  RelayScript script;
  script.number = number;
  script.start_ns = spread(prng, 6 * kSecond);
  if (percent(prng, 40)) script.way = percent(prng, 50) ? Way::upgrade : Way::connect;
  script.introduction = draw_introduction(prng, manners);
  script.early = percent(prng, 30);
  draw_end(prng, script.end, manners);
  if (manners.plain) script.end.ending = Ending::half_close;  // Two that wait are idle.
  if (script.way != Way::tcp || !manners.by_name || percent(prng, 15)) return script;
  const Hello most = manners.plain ? Hello::below : Hello::broken;
  script.hello = static_cast<Hello>(1 + prng.bounded(static_cast<std::uint64_t>(most)));
  script.split = percent(prng, 40);
  return script;
}

EndScript draw_relay_server(std::uint64_t seed, std::uint64_t serial, const RelayManners& manners) {
  Prng prng(mix(mix(seed, 9), serial));
  EndScript end;
  draw_end(prng, end, manners);
  return end;
}

// --- Payloads ------------------------------------------------------------------------------------

void Payload::append(std::uint64_t offset, std::size_t size, std::string& to) const {
  if (offset < prefix_.size()) {
    const std::string head = prefix_.substr(offset, size);
    to += head;
    size -= head.size();
    offset = prefix_.size();
  }
  const std::size_t begin = to.size();
  to.resize(begin + size);
  stream_.fill(offset - prefix_.size(), std::span(to).subspan(begin));
}

bool Payload::matches(std::uint64_t offset, std::string_view bytes) const {
  if (offset + bytes.size() > size_) return false;
  if (offset < prefix_.size()) {
    const std::string_view head = bytes.substr(0, prefix_.size() - offset);
    if (std::string_view(prefix_).substr(offset, head.size()) != head) return false;
    bytes.remove_prefix(head.size());
    offset = prefix_.size();
  }
  return stream_.matches(offset - prefix_.size(), bytes);
}

std::string mark_text(char side, std::uint64_t number) {
  char text[kMarkBytes + 1];
  (void)std::snprintf(text, sizeof text, "%c%08x", side, static_cast<unsigned>(number));
  return text;
}

std::optional<std::uint64_t> number_of_mark(char side, std::string_view text) {
  if (text.size() < kMarkBytes || text.front() != side) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text.data() + kMarkBytes;
  const auto [stop, error] = std::from_chars(text.data() + 1, end, number, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

Payload client_payload(std::uint64_t seed, const RelayScript& script) {
  return {hello_text(script) + mark_text('C', script.number),
          Stream(mix(seed ^ 0x434c'4945'4e54'0000, script.number)), script.end.bytes};
}

Payload server_payload(std::uint64_t seed, std::uint64_t serial, std::uint64_t bytes) {
  return {mark_text('S', serial), Stream(mix(seed ^ 0x5345'5256'4552'0000, serial)), bytes};
}

}  // namespace weir::sim
