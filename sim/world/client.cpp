#include "sim/world/client.h"

#include "sim/world/checkers.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kPatienceForContinue = kSecond;
constexpr unsigned kConnectsMax = 5;

}  // namespace

Client::Client(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const ClientScript& script,
               const os::Address& to)
    : Talker(kernel, script.sending, script.reading),
      seed_(seed),
      ledger_(ledger),
      script_(script),
      to_(to) {
  using Ending = ClientScript::Ending;
  const bool cuts = script.leaves() || script.ending == Ending::stall;
  if (cuts) cut_at(script.ending_at);
}

void Client::begin() {
  kernel().after(script_.start_ns, [this] { connect(); });
}

void Client::connect() {
  ++connects_;
  ++ledger_.totals.connections;
  endpoint_ = Endpoint::connect(kernel(), to_, *this);
  port_ = endpoint_.local().port;
}

// SYN may be lost, and a listener that is closing refuses.
void Client::failed(os::IoStatus why) {
  endpoint_ = {};
  const Weather& weather = ledger_.weather;
  check(weather.stopping || weather.connects_fail || weather.resets, "clients can connect",
        "client " + std::to_string(script_.number) + ": " + os::to_string(why));
  if (weather.stopping || connects_ == kConnectsMax) {
    finished_ = true;
    return;
  }
  kernel().after(kSecond, [this] { connect(); });
}

void Client::connected() { pause(script_.hesitation_ns); }

// --- Sending -------------------------------------------------------------------------------------

bool Client::may_begin() const {
  return next_ < script_.requests.size() && unanswered_.size() < script_.pipelined &&
         !last_answer_ && !thinking_;
}

void Client::compose(std::string& pending) {
  if (!body_.done()) {
    if (!body_held_) body_.produce(pending);
    return;
  }
  if (may_begin()) begin_request(pending);
}

void Client::begin_request(std::string& pending) {
  Request& begun = request(next_);
  const RequestScript& script = begun.script;
  kernel().trace("client begins request", script_.number, next_);
  begun.begun_ns = kernel().now_ns();
  ++ledger_.totals.requests_begun;
  unanswered_.push_back(next_++);
  pending += script.head();
  const bool keeps = !cookie_.empty() && script.hostile == Hostile::none;
  if (keeps) pending.insert(pending.size() - 2, "Cookie: " + cookie_ + "\r\n");
  line_end_ = sent() + pending.find('\n') + 1;
  body_ = BodyWriter(script.framing, script.body_bytes, request_body(seed_, script.id), script.seed,
                     script.trailers, script.hostile);
  body_held_ = script.expect == RequestScript::Expect::patient && !body_.done();
  if (!body_held_) return;
  const std::uint32_t held = next_ - 1;
  kernel().after(kPatienceForContinue, [this, held] {
    if (next_ - 1 == held) release_body();
  });
}

void Client::release_body() {
  body_held_ = false;
  send_more();
}

void Client::sent_all() {
  // The last answer may come before the last byte of its request was sent.
  if (done()) {
    if (script_.ending == ClientScript::Ending::finish) {
      kernel().after(0, [this] { leave(); });
    } else {
      finished_ = true;
    }
  }
  const bool all = next_ == script_.requests.size() && body_.done();
  if (!all || script_.ending != ClientScript::Ending::half_close || fin_sent_) return;
  fin_sent_ = true;
  endpoint_.shutdown_send();
}

void Client::cut() {
  kernel().trace("client cuts", script_.number, sent());
  finished_ = true;
  if (script_.ending == ClientScript::Ending::stall) return;
  if (script_.ending == ClientScript::Ending::reset) {
    endpoint_.reset();
  } else {
    endpoint_.close();
  }
}

// --- Reading -------------------------------------------------------------------------------------

void Client::received(std::string_view bytes) {
  oracle_.feed(bytes);
  read_events();
  if (script_.ending != ClientScript::Ending::deaf || heard() < script_.ending_at) return;
  deafen();
  finished_ = true;
}

void Client::read_events() {
  while (endpoint_.valid()) {
    if (!in_answer_ && !unanswered_.empty()) {
      // Who has not said the method in a valid line may be answered with a body.
      const bool said = (unanswered_.front() + 1 < next_ || sent() >= line_end_) &&
                        !hostile_line(asked().script.hostile);
      oracle_.answers_head_request(asked().script.method == "HEAD" && said);
    }
    const Oracle::Event event = oracle_.next();
    switch (event) {
      case Oracle::Event::none: return;
      case Oracle::Event::error:
        if (method_unsure_) return;
        fail("answers are valid HTTP", describe() + ": " + oracle_.why());
      case Oracle::Event::head: head_complete(); break;
      case Oracle::Event::body: piece_received(oracle_.piece()); break;
      case Oracle::Event::end:
        if (in_answer_) answer_complete();
        break;
    }
  }
}

void Client::head_complete() {
  check(!unanswered_.empty() && !last_answer_, "one answer per request",
        describe() + ": an answer nobody waits for");
  const MessageHead& head = oracle_.head();
  Request& request = asked();
  if (head.status < 200) {
    check(!request.script.http10 && head.status != 101, "interim answers only to HTTP/1.1",
          describe());
    if (head.status == 100 && body_held_) release_body();
    return;
  }
  check_answer_head(ledger_, request, head);
  const std::string_view cookie = head.field("set-cookie");
  if (!cookie.empty()) cookie_ = cookie.substr(0, cookie.find(';'));
  in_answer_ = true;
  answer_bytes_ = 0;
  serial_ = number_from_text(head.field("x-answer"));
  request.seen = Request::Seen::part;
  request.status = head.status;
  request.own = !serial_ && !head.has("x-surplus");
}

void Client::piece_received(std::string_view piece) {
  if (serial_) {
    check(answer_body(seed_, *serial_).matches(answer_bytes_, piece), "bytes of an answer",
          describe() + ": differs in the " + std::to_string(piece.size()) + " bytes from " +
              std::to_string(answer_bytes_));
  }
  answer_bytes_ += piece.size();
  ledger_.totals.bytes_down += piece.size();
}

void Client::answer_complete() {
  Request& request = asked();
  if (serial_) {
    const AnswerScript& answer = ledger_.attempt(*serial_).answer;
    const std::uint64_t due = answer.bodiless(request.script.method) ? 0 : answer.body_bytes;
    check(answer_bytes_ == due, "a complete answer is whole",
          describe() + ": " + std::to_string(answer_bytes_) + " of " + std::to_string(due));
    for (const auto& [name, value] : oracle_.trailers()) {
      check(name == "x-trailer", "no dangerous trailers", describe() + ": " + name);
    }
  }
  kernel().trace("client is answered", script_.number, unanswered_.front());
  request.seen = Request::Seen::whole;
  ++(serial_ ? ledger_.totals.answers : ledger_.totals.own_answers);
  ++ledger_.totals.by_class[static_cast<std::size_t>(request.status / 100)];
  last_answer_ = !oracle_.head().persistent();
  method_unsure_ = request.status == 408 && request.own;
  in_answer_ = false;
  const bool unsent = unanswered_.back() == unanswered_.front() && !body_.done();
  request.overtaken = unsent;
  unanswered_.pop_front();
  // RFC 9110 10.1.1: who got the final answer instead of 100 keeps the body to itself.
  if (unsent && (body_held_ || last_answer_)) {
    body_ = BodyWriter();
    mute();
    last_answer_ = true;
  }
  wind_up();
}

// After an answer: go on, think, or leave.
void Client::wind_up() {
  if (last_answer_) {
    mute();  // What is unanswered now never will be.
    return;
  }
  if (done() && script_.ending == ClientScript::Ending::finish) {
    leave();
  } else if (done()) {
    finished_ = true;
  } else if (unanswered_.empty() && body_.done()) {
    pause(script_.think_ns);
  } else {
    send_more();
  }
}

bool Client::done() const {
  return next_ == script_.requests.size() && unanswered_.empty() && body_.done() && all_taken();
}

// Before the next request.
void Client::pause(std::uint64_t ns) {
  if (ns == 0) return send_more();
  thinking_ = true;
  kernel().after(ns, [this] {
    thinking_ = false;
    send_more();
  });
}

void Client::leave() {
  if (!endpoint_.valid()) return;
  endpoint_.close();
  finished_ = true;
}

// The end of the connection, told by FIN or RST.
void Client::over(bool by_reset) {
  if (!by_reset) {
    oracle_.feed_end();
    read_events();
    if (!endpoint_.valid()) return;
  }
  kernel().trace("client hears the end", script_.number, by_reset);
  if (endpoint_.reset_took() > 0) cut_by_reset();
  endpoint_.close();
  finished_ = true;
  if (unanswered_.empty()) return;
  Request& front = asked();
  const bool excused = script_.leaves() || script_.stalls() || last_answer_;
  if (!excused) check_unfinished(ledger_, front, by_reset, kernel().now_ns());
}

// weir has reset the connection with bytes under way. If it had said which answer is the last, they
// are the end of that one.
void Client::cut_by_reset() {
  if (!last_answer_ || script_.leaves() || script_.stalls()) return;
  const std::uint32_t last = (unanswered_.empty() ? next_ : unanswered_.front()) - 1;
  check_reset(ledger_, request(last), kernel().now_ns());
}

std::string Client::describe() const {
  std::string text = "client " + std::to_string(script_.number) + " (port " +
                     std::to_string(port_) + ", sent " + std::to_string(sent()) + ", heard " +
                     std::to_string(heard()) + ")";
  if (!unanswered_.empty()) {
    text += " waits for " + to_text({script_.number, unanswered_.front()});
  }
  if (serial_ && in_answer_) text += ", reads answer " + std::to_string(*serial_);
  return text;
}

}  // namespace weir::sim
