#include "sim/world/checkers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "sim/kernel/faults.h"
#include "sim/world/settings.h"

namespace weir::sim {
namespace {

using Break = AnswerScript::Break;

// What a request may take to arrive, or the news that nobody hears it, retransmissions included.
// Less than weir waits for who has come before a drain.
constexpr std::uint64_t kCrossingMax = kSecond / 2;

std::string name_of(const Request& request) { return "request " + to_text(request.script.id); }

// The connection was not made for this request alone, so these are weir's to drop.
// RFC 9110 7.6.1 and 7.8; RFC 9113 3.1 for HTTP2-Settings.
constexpr std::string_view kNeverForwarded[] = {"upgrade", "http2-settings", "te", "keep-alive",
                                                "proxy-connection"};

void check_canonical(const Request& request, const MessageHead& head) {
  const RequestScript& script = request.script;
  const std::string name = name_of(request);
  check(head.method == script.method && head.target == script.target(), "a request arrives as sent",
        name + ": " + head.method + " " + head.target);
  check(head.field("host") == "app.test" && head.minor == 1, "a request arrives as sent", name);
  check(head.count("x-id") == 1 && head.count("x-forwarded-for") == 1, "a request arrives as sent",
        name);
  check(head.field("x-padding").size() == script.padding, "a request arrives as sent", name);
  for (const std::string_view field : kNeverForwarded) {
    check(!head.has(field), "hop-by-hop fields stay here", name + ": " + std::string(field));
  }
  check(head.framing == script.framing &&
            (script.framing != Framing::length || head.length == script.body_bytes),
        "a request arrives as sent", name + ": another length");
}

// docs/decisions/0011-one-retry-table.md.
void check_repeat(Ledger& ledger, const Request& request) {
  if (request.attempts.empty()) return;
  check(request.script.idempotent(), "no second try unless idempotent", name_of(request));
  const Attempt& previous = ledger.attempt(request.attempts.back());
  const bool unwanted = ledger.weather.retry_statuses && previous.answer.status >= 500;
  const bool failed = previous.broken || unwanted || previous.answer.headless() ||
                      previous.answer.stalls() || previous.answer.sending.slow();
  const bool weather = ledger.weather.resets || ledger.weather.late ||
                       ledger.weather.servers_leave || ledger.weather.short_timeouts;
  check(failed || weather, "no second try without a failure", name_of(request));
  // FIN comes behind the bytes, so weir has seen them.
  const bool answered = previous.closed && previous.answer_bytes > 0 && previous.request_complete;
  check(!answered || unwanted || previous.answer.headless() || weather,
        "no second try behind a begun answer", name_of(request));
  ++ledger.totals.repeated;
}

// Somebody's doing can have made weir say this word about this request.
class Excuse {
 public:
  Excuse(Ledger& ledger, const Request& request)
      : ledger_(ledger),
        weather_(ledger.weather),
        request_(request),
        client_(ledger.clients()[request.script.id.connection]) {}

  [[nodiscard]] bool covers(std::string_view word) const {
    if (word == "no_route") return !request_.script.routed;
    if (word == "descriptors_exhausted") return weather_.no_descriptors;
    if (word == "buffers_exhausted") return weather_.no_memory;
    if (word == "shutting_down") return weather_.stopping;
    if (word == "rate_limited") return weather_.rates;
    if (word.starts_with("queue_")) return weather_.limits;
    if (word == "circuit_open") return weather_.breakers;
    if (word == "request_timeout") return weather_.short_timeouts;
    if (word == "upstream_status") {
      return weather_.retry_statuses &&
             any([](const Attempt& each) { return each.answer.status >= 500; });
    }
    if (word.starts_with("client_") || word == "request_truncated") return client(word);
    if (word.starts_with("connect_") || word == "no_healthy_server") {
      const bool late = word == "connect_timeout" && weather_.late;
      const bool unwilling = word == "no_healthy_server" && (weather_.checks || weather_.names);
      return weather_.connects_fail || weather_.servers_leave || late || unwilling;
    }
    if (word.starts_with("upstream_")) return server(word);
    if (word.ends_with("_timeout")) return silent();
    return request_.script.hostile != Hostile::none;
  }

 private:
  [[nodiscard]] bool client(std::string_view word) const {
    const bool gone = client_.leaves() || weather_.resets;
    if (word == "client_closed" || word == "request_truncated") return gone || client_.stalls();
    if (word == "client_write_timeout") {
      return client_.reading.slow() || client_.stalls() || weather_.late;
    }
    return client_.stalls() || client_.sending.slow() || weather_.late ||
           request_.script.hostile != Hostile::none;
  }
  [[nodiscard]] bool server(std::string_view word) const {
    if (word == "upstream_protocol")
      return any([](const Attempt& each) {
        return each.answer.malformed() || each.answer.breaks == Break::bad_chunk;
      });
    return weather_.resets || weather_.servers_leave ||
           any([](const Attempt& each) { return each.broken; });
  }
  [[nodiscard]] bool silent() const {
    return weather_.late || weather_.servers_leave || weather_.short_timeouts ||
           any([](const Attempt& each) {
             return each.answer.stalls() || each.answer.sending.slow();
           });
  }
  template <typename Predicate>
  [[nodiscard]] bool any(Predicate predicate) const {
    return std::any_of(request_.attempts.begin(), request_.attempts.end(),
                       [&](std::uint64_t serial) { return predicate(ledger_.attempt(serial)); });
  }

  Ledger& ledger_;
  const Weather& weather_;
  const Request& request_;
  const ClientScript& client_;
};

}  // namespace

std::string_view value_of(std::string_view line, std::string_view key) {
  const std::string wanted = "\"" + std::string(key) + "\":";
  const std::size_t at = line.find(wanted);
  if (at == std::string_view::npos) return {};
  std::string_view rest = line.substr(at + wanted.size());
  if (rest.starts_with('"')) {
    rest.remove_prefix(1);
    return rest.substr(0, rest.find('"'));
  }
  return rest.substr(0, rest.find_first_of(",}"));
}

void fail(std::string_view checker, const std::string& what) {
  std::fprintf(stderr, "FAIL %.*s: %s\n", static_cast<int>(checker.size()), checker.data(),
               what.c_str());
  std::abort();
}

namespace {

Request& check_known(Ledger& ledger, const MessageHead& head) {
  const auto id = id_from_text(head.field("x-id"));
  Request* request = id ? ledger.find(*id) : nullptr;
  if (request == nullptr || request->begun_ns == 0) {
    fail("only what was asked reaches a server", head.method + " " + head.target);
  }
  check(!hostile_head(request->script.hostile), "nothing ambiguous reaches a server",
        name_of(*request));
  check(request->script.routed && !request->script.ends_here, "routes are kept", name_of(*request));
  check_canonical(*request, head);
  return *request;
}

}  // namespace

Request& check_arrival(Ledger& ledger, const MessageHead& head) {
  Request& request = check_known(ledger, head);
  check_repeat(ledger, request);
  return request;
}

// docs/decisions/0015-mirroring.md: a copy is made of what a server was sent whole, within a block.
Request& check_copy(Ledger& ledger, const MessageHead& head) {
  constexpr std::uint64_t kBytesMax = 18 * 1024;
  Request& request = check_known(ledger, head);
  check(request.script.hostile == Hostile::none && request.script.body_bytes < kBytesMax,
        "only whole and small requests are copied", name_of(request));
  check(++request.copies == 1, "a request is copied once", name_of(request));
  ++ledger.totals.copies;
  return request;
}

void check_probe(const MessageHead& head) {
  check((head.method == "GET" || head.method == "HEAD") && head.lists("connection", "close") &&
            head.count("host") == 1 && !head.has("x-id"),
        "health checks arrive as configured", head.method + " " + head.target);
}

void check_surplus(Ledger& ledger, const Request& request, std::uint64_t serial) {
  check(serial < ledger.attempts(), "an answer belongs to its request", name_of(request));
  const Attempt& before = ledger.attempt(serial);
  check(before.answer.breaks == Break::extra_bytes, "an answer belongs to its request",
        name_of(request));
  const std::uint64_t since = before.surplus_since_ns;
  const bool unknown =
      request.begun_ns <= since || request.begun_ns - since <= kStalledForNsMax + kRepairedWithinNs;
  check(unknown || ledger.weather.late, "a spoiled connection is not used again",
        name_of(request) + " behind " + to_text(before.request));
}

void check_answer_head(Ledger& ledger, const Request& request, const MessageHead& head) {
  const RequestScript& script = request.script;
  const std::string name = name_of(request);
  check(!script.http10 || head.framing != Framing::chunked, "no chunks for HTTP/1.0", name);
  if (const auto surplus = number_from_text(head.field("x-surplus"))) {
    check(*surplus >= ledger.attempts() || !ledger.attempt(*surplus).copy,
          "a mirror answers nobody", name);
    check_surplus(ledger, request, *surplus);
    return;
  }
  check(!head.has("x-probe"), "health checks are nobody's answer", name);
  const auto serial = number_from_text(head.field("x-answer"));
  if (!serial) {
    const bool error = head.status >= 400 || (script.ends_here && head.status == 200);
    check(error, "weir's own answers are errors", name + ": " + std::to_string(head.status));
    return;
  }
  check(*serial < ledger.attempts(), "an answer belongs to its request", name);
  const Attempt& attempt = ledger.attempt(*serial);
  check(!attempt.copy, "a mirror answers nobody", name);
  check(attempt.request == script.id, "an answer belongs to its request",
        name + " got the answer of " + to_text(attempt.request));
  check(attempt.answer.status == head.status, "an answer arrives as said", name);
  check(!attempt.answer.malformed(), "no malformed answer is relayed", name);
  const bool length = attempt.answer.framing == Framing::length && head.status != 204;
  check(!length || head.field("content-length") == std::to_string(attempt.answer.body_bytes),
        "an answer arrives as said", name + ": another length");
}

void check_unfinished(const Ledger& ledger, const Request& request, bool by_reset,
                      std::uint64_t now_ns) {
  const Weather& weather = ledger.weather;
  if (weather.resets || weather.stopped || weather.no_memory || weather.late) return;
  const std::string name = name_of(request) + (by_reset ? ", ended by reset" : ", ended by FIN") +
                           ", " + std::to_string((now_ns - request.begun_ns) / kMillisecond) +
                           " ms after it was begun";
  const ClientScript& client = ledger.clients()[request.script.id.connection];
  if (request.seen == Request::Seen::part) {
    // A cut answer must look cut: the oracle has seen to that. Somebody must have cut it. In a
    // crowd nobody is waited for who has been answered.
    check(!request.own || (by_reset && weather.crowded), "weir's own answers are whole", name);
    return;
  }
  // The head of an answer that weir had to cut may have been under way, interim heads before it.
  const bool begun = std::any_of(
      request.attempts.begin(), request.attempts.end(),
      [&](std::uint64_t serial) { return ledger.attempt(serial).answer.cut_behind_head(); });
  if (begun) return;
  // A reset takes with it what the client has not read yet. weir waits for its answers to be read,
  // but not for ever.
  const bool lost = by_reset && (request.status != 0 || client.sending.slow() ||
                                 client.reading.slow() || client.think_ns > kSecond);
  // Who has not asked completely may have to make room.
  if ((weather.crowded || weather.no_descriptors) && request.attempts.empty()) return;
  // A connection too many in its time is reset at the door, with all that was sent on it.
  const bool first = request.script.id.index == 0;
  if (by_reset && first && weather.rates && request.attempts.empty()) return;
  // The request crossed with the end of an idle connection, or was not complete.
  const bool crossed = now_ns - request.begun_ns < kCrossingMax || client.sending.slow();
  check(lost || crossed, "one answer per request", name);
}

void check_reset(const Ledger& ledger, const Request& request, std::uint64_t now_ns) {
  const Weather& weather = ledger.weather;
  const bool hurry =
      weather.stopping || weather.no_memory || weather.crowded || weather.no_descriptors;
  const ClientScript& client = ledger.clients()[request.script.id.connection];
  const bool slow = client.sending.slow() || client.reading.slow();
  const bool waited = now_ns - request.begun_ns >= kSecond;
  check(!request.own || hurry || slow || waited, "answers are not lost to a reset",
        name_of(request) + ", status " + std::to_string(request.status));
}

namespace {

// Each attempt may have waited for its slot, none of them longer than queues may let it.
void check_wait(Ledger& ledger, std::string_view line, const std::string& text) {
  const std::string_view seconds = value_of(line, "t_queue");
  const std::string_view word = value_of(line, "error");
  if (word.starts_with("queue_") || word == "rate_limited") ++ledger.totals.refused;
  if (seconds.empty()) return;
  ++ledger.totals.queued;
  const auto waited_s = number_from_text(seconds.substr(0, seconds.find('.'))).value_or(UINT64_MAX);
  const std::uint64_t attempts = number_from_text(value_of(line, "attempts")).value_or(0) + 1;
  const std::int64_t longest_ms = std::max(kQueueTimeoutMs, ledger.weather.queue_timeout_ms);
  const std::uint64_t most_s = attempts * (static_cast<std::uint64_t>(longest_ms) / 1'000 + 1);
  check(waited_s <= most_s || ledger.weather.late, "nobody waits too long", text);
}

}  // namespace

void count_event(Ledger& ledger, std::string_view line) {
  constexpr std::string_view kForAnswers[] = {"errors in a row", "answers were errors", "median",
                                              "without an answer"};
  const std::size_t at = line.find(" is ejected for a while: ");
  if (at != std::string_view::npos) {
    const bool counts = std::ranges::any_of(kForAnswers, [&](std::string_view reason) {
      return line.substr(at).find(reason) != std::string_view::npos;
    });
    ledger.totals.ejections += counts ? 1 : 0;
  }
  if (line.find(" is down: ") != std::string_view::npos) ++ledger.totals.downs;
}

void check_log_line(Ledger& ledger, Request& request, std::string_view line) {
  const std::string text = name_of(request) + ": " + std::string(line);
  check(++request.log_lines == 1, "one log line per request", text);
  request.log_status = static_cast<int>(number_from_text(value_of(line, "status")).value_or(0));
  request.log_error = value_of(line, "error");
  check_wait(ledger, line, text);
  if (request.log_error.empty()) return;
  check(Excuse(ledger, request).covers(request.log_error), "errors have a cause", text);
}

void check_log_complete(Ledger& ledger) {
  ledger.for_each_request([&](Request& request) {
    if (request.seen == Request::Seen::nothing) return;
    const std::string name = name_of(request);
    // A head that was never understood is logged without its target.
    if (request.log_lines == 0) {
      check(request.own, "one log line per request", name + " has none");
      return;
    }
    check(request.log_status == request.status, "the log tells the truth",
          name + " saw " + std::to_string(request.status) + ", the log says " +
              std::to_string(request.log_status));
    const bool needs_word = request.own && !request.script.ends_here;
    check(!needs_word || !request.log_error.empty(), "the log tells the truth",
          name + ": no word for weir's own answer");
  });
}

void check_totals(Ledger& ledger) {
  Totals& totals = ledger.totals;
  ledger.for_each_request([&](const Request& request) {
    if (request.begun_ns == 0) return;
    totals.cut_answers += request.seen == Request::Seen::part ? 1 : 0;
    totals.unanswered += request.seen == Request::Seen::nothing ? 1 : 0;
  });
  const std::uint64_t complete = totals.answers + totals.own_answers;
  const std::uint64_t classes =
      std::accumulate(totals.by_class.begin(), totals.by_class.end(), std::uint64_t{0});
  check(complete + totals.cut_answers + totals.unanswered == totals.requests_begun &&
            classes == complete,
        "every request comes to one end",
        std::to_string(totals.requests_begun) + " begun, " + std::to_string(complete) +
            " answered (" + std::to_string(classes) + " by class), " +
            std::to_string(totals.cut_answers) + " cut short, " +
            std::to_string(totals.unanswered) + " unanswered");
}

std::optional<RequestId> id_of_log_line(std::string_view line) {
  const std::string_view path = value_of(line, "path");
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::nullopt : id_from_text(path.substr(slash + 1));
}

}  // namespace weir::sim
