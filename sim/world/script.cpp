// Drawing scripts: which peers a seed has and how they behave.

#include "sim/world/script.h"

#include <algorithm>

namespace weir::sim {
bool percent(Prng& prng, std::uint64_t share) { return prng.bounded(100) < share; }

// Spread over orders of magnitude.
std::uint64_t spread(Prng& prng, std::uint64_t most) {
  if (most == 0) return 0;
  unsigned bits = 0;
  while (bits < 63 && (std::uint64_t{1} << bits) < most) ++bits;
  const std::uint64_t bound = std::uint64_t{1} << prng.bounded(bits + 1);
  return std::min(most, prng.bounded(bound + 1));
}

Pace draw_pace(Prng& prng, std::uint32_t slow_percent) {
  Pace pace;
  if (percent(prng, 30)) pace.piece_max = static_cast<std::uint32_t>(1 + spread(prng, 8192));
  if (percent(prng, slow_percent)) {
    pace.pause_ns = kMillisecond + spread(prng, 200 * kMillisecond);
    pace.piece_max = std::max<std::uint32_t>(pace.piece_max, 64);
  }
  return pace;
}

std::uint64_t draw_body(Prng& prng, std::uint64_t most, const Pace& pace) {
  if (percent(prng, 30)) return 0;
  const std::uint64_t pieces = pace.slow() ? 100 : 2000;
  most = std::min(most, pieces * pace.piece_max);
  return spread(prng, most);
}

namespace {

constexpr std::string_view kWithBody[] = {"POST", "PUT", "PATCH", "POST", "BREW", "DELETE", "GET"};
constexpr std::string_view kWithout[] = {"GET",  "GET",    "GET",     "GET",  "HEAD",
                                         "HEAD", "DELETE", "OPTIONS", "POST", "BREW"};

void draw_body_of(Prng& prng, RequestScript& request, const Manners& manners, const Pace& pace) {
  const bool body = percent(prng, 40);
  request.method = body ? kWithBody[prng.bounded(std::size(kWithBody))]
                        : kWithout[prng.bounded(std::size(kWithout))];
  if (!body) return;
  request.framing = percent(prng, 50) && !request.http10 ? Framing::chunked : Framing::length;
  request.body_bytes = draw_body(prng, manners.body_bytes_max, pace);
  request.trailers = request.framing == Framing::chunked && percent(prng, 25);
  if (manners.plain || request.http10 || request.body_bytes == 0) return;
  if (percent(prng, 15)) request.expect = RequestScript::Expect::patient;
  if (percent(prng, 5)) request.expect = RequestScript::Expect::impatient;
}

void draw_hostile(Prng& prng, RequestScript& request) {
  request.hostile =
      static_cast<Hostile>(1 + prng.bounded(static_cast<std::uint64_t>(Hostile::count_) - 1));
  request.http10 = request.hostile == Hostile::chunked_in_http10;
  request.expect = RequestScript::Expect::none;
  request.absolute = false;
  request.keep_alive = true;
  request.ends_here = false;
  constexpr std::string_view kMethods[] = {"POST", "POST", "GET", "HEAD"};
  request.method = kMethods[prng.bounded(std::size(kMethods))];
  request.framing = hostile_head(request.hostile) ? Framing::none : Framing::chunked;
  request.body_bytes = request.framing == Framing::none ? 0 : 1 + prng.bounded(3000);
}

RequestScript draw_request(Prng& prng, RequestId id, const Manners& manners, const Pace& pace) {
  RequestScript request;
  request.id = id;
  request.seed = prng();
  request.http10 = percent(prng, 10);
  request.keep_alive = percent(prng, request.http10 ? 50 : 95);
  draw_body_of(prng, request, manners, pace);
  if (percent(prng, 15)) request.padding = static_cast<std::uint32_t>(spread(prng, 6000));
  request.absolute = percent(prng, 5);
  request.upgrade = !request.http10 && percent(prng, 5);
  request.routed = !percent(prng, 3);
  request.ends_here = request.method == "OPTIONS" && percent(prng, 30);
  if (!manners.plain && percent(prng, manners.hostile_percent)) draw_hostile(prng, request);
  return request;
}

void draw_ending(Prng& prng, ClientScript& client, const Manners& manners) {
  using Ending = ClientScript::Ending;
  if (percent(prng, 10)) client.ending = Ending::half_close;
  if (percent(prng, 5)) client.ending = Ending::wait;
  if (manners.plain || !percent(prng, manners.leaving_percent)) return;
  constexpr Ending kEarly[] = {Ending::reset, Ending::close, Ending::stall, Ending::deaf};
  client.ending = kEarly[prng.bounded(std::size(kEarly))];
  std::uint64_t bytes = 0;
  for (const RequestScript& request : client.requests) bytes += 200 + request.body_bytes;
  client.ending_at = client.ending == Ending::deaf ? spread(prng, 200'000) : prng.bounded(bytes);
}

// Asks for what nobody has, again and again, and does not read the answers.
void make_lost(ClientScript& client) {
  constexpr std::uint32_t kRequests = 60;
  client.requests.clear();
  for (std::uint32_t i = 0; i < kRequests; ++i) {
    RequestScript& request = client.requests.emplace_back();
    request.id = {client.number, i};
    request.routed = false;
  }
  client.pipelined = kRequests;
  client.ending = ClientScript::Ending::deaf;
  client.ending_at = 0;
}

}  // namespace

Manners draw_manners(std::uint64_t seed) {
  Prng prng(mix(seed, 1));
  Manners manners;
  manners.clients = static_cast<std::uint32_t>(4 + spread(prng, 60));
  manners.requests_max = static_cast<std::uint32_t>(3 + spread(prng, 20));
  manners.servers = static_cast<std::uint32_t>(1 + prng.bounded(5));
  manners.plain = percent(prng, 10);
  if (percent(prng, 50)) manners.hostile_percent = static_cast<std::uint32_t>(spread(prng, 20));
  if (percent(prng, 60)) manners.leaving_percent = static_cast<std::uint32_t>(spread(prng, 50));
  if (percent(prng, 60)) manners.breaking_percent = static_cast<std::uint32_t>(spread(prng, 40));
  if (percent(prng, 50)) manners.slow_percent = static_cast<std::uint32_t>(spread(prng, 60));
  manners.body_bytes_max = percent(prng, 5) ? 3'000'000 : 1024 + spread(prng, 300'000);
  if (percent(prng, 30)) manners.mirrors = static_cast<std::uint32_t>(1 + prng.bounded(2));
  // What fits a block is copied.
  if (manners.mirrors > 0 && percent(prng, 50)) manners.body_bytes_max = 16'000;
  manners.names = Prng(mix(seed, 20)).bounded(4) == 0;
  return manners;
}

Manners calmed(const Manners& manners) {
  Manners calm = manners;
  calm.plain = true;
  calm.slow_percent = 0;
  calm.requests_max = std::min(manners.requests_max, 3u);
  calm.body_bytes_max = std::min<std::uint64_t>(manners.body_bytes_max, 50'000);
  return calm;
}

ClientScript draw_client(std::uint64_t seed, std::uint32_t number, const Manners& manners) {
  Prng prng(mix(mix(seed, 2), number));
  ClientScript client;
  client.number = number;
  client.start_ns = spread(prng, 5 * kSecond);
  client.sending = draw_pace(prng, manners.plain ? 0 : manners.slow_percent);
  client.reading = draw_pace(prng, manners.plain ? 0 : manners.slow_percent);
  if (client.reading.slow()) client.reading.piece_max += 1024;
  if (percent(prng, 40)) client.pipelined = static_cast<std::uint32_t>(2 + prng.bounded(6));
  if (percent(prng, 40)) client.think_ns = spread(prng, 8 * kSecond);
  client.second_listener = percent(prng, 30);
  const std::uint64_t count = 1 + prng.bounded(manners.requests_max);
  for (std::uint32_t i = 0; i < count; ++i) {
    client.requests.push_back(draw_request(prng, {number, i}, manners, client.sending));
    if (client.requests.back().last()) break;
  }
  // Some connect before they know what to ask.
  Prng hesitating(mix(mix(seed, 12), number));
  if (percent(hesitating, 20)) client.hesitation_ns = spread(hesitating, kSecond / 2);
  draw_ending(prng, client, manners);
  if (!manners.plain && percent(prng, 4)) make_lost(client);
  return client;
}

namespace {

// Makes the rest of the answer such that the break can happen.
void settle_break(AnswerScript& answer, const RequestScript& request) {
  using Break = AnswerScript::Break;
  const bool in_body = answer.breaks == Break::reset_in_body ||
                       answer.breaks == Break::close_in_body ||
                       answer.breaks == Break::stall_in_body || answer.breaks == Break::bad_chunk;
  // Behind a body that FIN ends nothing is surplus.
  const bool surplus = answer.breaks == Break::extra_bytes;
  if (surplus && answer.framing == Framing::until_close) answer.breaks = Break::none;
  // What goes wrong while the request is still being sent is a case of its own.
  const bool breaks = answer.breaks != Break::none;
  if (breaks && request.framing != Framing::none && answer.seed % 2 == 0) answer.early = true;
  if (!in_body && answer.breaks != Break::two_lengths) return;
  if (in_body && request.method == "HEAD") {
    answer.breaks = Break::none;
    return;
  }
  answer.status = 200;
  answer.body_bytes = std::max<std::uint64_t>(answer.body_bytes, 2);
  // FIN in the middle of a body that FIN ends is a shorter body.
  const bool closes = answer.breaks == Break::close_in_body;
  if (closes && answer.framing == Framing::until_close) answer.framing = Framing::length;
  if (answer.breaks == Break::bad_chunk) {
    answer.framing = Framing::chunked;
    answer.http10 = false;
  }
}

}  // namespace

AnswerScript draw_answer(std::uint64_t seed, const RequestScript& request, std::uint64_t attempt,
                         const Manners& manners) {
  using Break = AnswerScript::Break;
  Prng prng(mix(mix(mix(seed, 3), request.id.number()), attempt));
  AnswerScript answer;
  answer.seed = prng();
  constexpr int kStatus[] = {200, 200, 200, 200, 201, 404, 500, 204, 304, 503};
  answer.status = kStatus[prng.bounded(std::size(kStatus))];
  answer.sending = draw_pace(prng, manners.plain ? 0 : manners.slow_percent);
  answer.http10 = percent(prng, 8);
  constexpr Framing kFraming[] = {Framing::length, Framing::chunked, Framing::until_close};
  answer.framing = kFraming[prng.bounded(percent(prng, 20) ? 3 : 2)];
  if (answer.http10 && answer.framing == Framing::chunked) answer.framing = Framing::until_close;
  answer.body_bytes = draw_body(prng, manners.body_bytes_max, answer.sending);
  answer.keep_alive = answer.framing != Framing::until_close && !percent(prng, 10);
  answer.trailers = percent(prng, 20);
  answer.early = !manners.plain && percent(prng, 15);
  if (percent(prng, 10)) answer.interims = static_cast<std::uint32_t>(1 + spread(prng, 40));
  if (percent(prng, 50)) answer.delay_ns = spread(prng, kSecond);
  if (!manners.plain && percent(prng, manners.breaking_percent)) {
    answer.breaks =
        static_cast<Break>(1 + prng.bounded(static_cast<std::uint64_t>(Break::count_) - 1));
  } else if (!manners.plain && percent(prng, 5)) {
    answer.breaks = Break::close_later;
  }
  answer.later_ns = spread(prng, 5 * kSecond);
  settle_break(answer, request);
  return answer;
}

}  // namespace weir::sim
