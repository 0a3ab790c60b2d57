#include "sim/world/server.h"

#include <algorithm>
#include <utility>

#include "sim/world/checkers.h"

namespace weir::sim {

// One connection from weir.
class Server::Peer final : public Talker {
 public:
  Peer(Server& server, Endpoint endpoint)
      : Talker(server.kernel_, {}, {}), server_(server), ledger_(server.ledger_) {
    endpoint_ = std::move(endpoint);
    endpoint_.attach(*this);
    kernel().after(0, [this] { read_more(); });
  }
  [[nodiscard]] bool open() const { return endpoint_.valid(); }
  // The server is gone.
  void vanish() {
    if (!endpoint_.valid()) return;
    break_off();
    endpoint_.reset();
  }

 private:
  void compose(std::string& pending) override;
  void sent_all() override;
  void cut() override;
  void received(std::string_view bytes) override;
  void over(bool by_reset) override;

  void head_complete();
  void piece_received(std::string_view piece);
  void request_complete();
  void answer_later();
  void begin_answer();
  void answer_sent();
  void send_surplus();
  void watch_surplus();
  void aim();
  void next_request();
  void close();
  void break_off();
  [[nodiscard]] Attempt& attempt() { return ledger_.attempt(*serial_); }
  [[nodiscard]] std::string describe() const;

  Server& server_;
  Ledger& ledger_;
  Oracle oracle_{Oracle::Side::requests};
  std::optional<std::uint64_t> serial_;   // Of the attempt under way.
  std::optional<std::uint64_t> surplus_;  // Of the attempt with bytes behind its answer.
  RequestScript request_;
  std::uint64_t request_bytes_ = 0;
  std::string head_;  // Interim heads and head, until they are sent.
  BodyWriter body_;
  std::uint64_t sent_before_ = 0;
  bool answering_ = false;
  bool answered_ = false;
  bool closing_ = false;
};

std::string Server::Peer::describe() const {
  std::string text =
      "server " + std::to_string(server_.number_) + ", request " + to_text(request_.id);
  if (!serial_) return text;
  const Attempt& attempt = ledger_.attempt(*serial_);
  return text + ", attempt " + std::to_string(*serial_) + ", " + std::to_string(request_bytes_) +
         " bytes of the body, " + std::to_string(sent() - sent_before_) + " of the answer (" +
         std::to_string(attempt.answer.status) + ", body " +
         std::to_string(attempt.answer.body_bytes) + ")";
}

// --- The request ---------------------------------------------------------------------------------

void Server::Peer::received(std::string_view bytes) {
  oracle_.feed(bytes);
  while (endpoint_.valid()) {
    switch (oracle_.next()) {
      case Oracle::Event::none: return;
      case Oracle::Event::error: fail("requests are valid HTTP", describe() + ": " + oracle_.why());
      case Oracle::Event::head: head_complete(); break;
      case Oracle::Event::body: piece_received(oracle_.piece()); break;
      case Oracle::Event::end: request_complete(); break;
    }
  }
}

void Server::Peer::head_complete() {
  check(!serial_, "one request at a time on a server's connection", describe());
  check(!closing_, "no request behind an announced close", describe());
  Request& request = check_arrival(ledger_, oracle_.head());
  Attempt made;
  made.request = request.script.id;
  made.server = server_.number_;
  made.answer =
      draw_answer(server_.seed_, request.script, request.attempts.size(), server_.manners_);
  serial_ = ledger_.add_attempt(made);
  request.attempts.push_back(*serial_);
  request_ = request.script;
  request_bytes_ = 0;
  answering_ = answered_ = false;
  sent_before_ = sent();
  kernel().trace("server has a head", server_.number_, *serial_);
  if (surplus_) {
    check_surplus(ledger_, request, *surplus_);
    // weir takes the surplus for the answer to this request, and what it sends here from now on
    // meets the end of the connection.
    ledger_.weather.servers_leave = true;
    vanish();
    return;
  }
  if (made.answer.breaks == AnswerScript::Break::deaf) deafen();
  if (made.answer.early) answer_later();
}

void Server::Peer::piece_received(std::string_view piece) {
  check(request_body(server_.seed_, request_.id).matches(request_bytes_, piece),
        "bytes of a request", describe());
  request_bytes_ += piece.size();
  ledger_.totals.bytes_up += piece.size();
}

void Server::Peer::request_complete() {
  check(request_.hostile == Hostile::none, "nothing ambiguous reaches a server", describe());
  check(request_bytes_ == request_.body_bytes, "a complete request is whole", describe());
  for (const auto& [name, value] : oracle_.trailers()) {
    check(name == "x-trailer", "no dangerous trailers", describe() + ": " + name);
  }
  attempt().request_complete = true;
  if (answered_) {
    next_request();
  } else if (!attempt().answer.early) {
    answer_later();
  }
}

// --- The answer ----------------------------------------------------------------------------------

void Server::Peer::answer_later() {
  const std::uint64_t serial = *serial_;
  kernel().after(attempt().answer.delay_ns, [this, serial] {
    if (endpoint_.valid() && serial_ == serial) begin_answer();
  });
}

void Server::Peer::begin_answer() {
  using Break = AnswerScript::Break;
  const AnswerScript& answer = attempt().answer;
  answering_ = true;
  switch (answer.breaks) {
    case Break::stall_before:
    case Break::deaf: return;
    case Break::reset_before: vanish(); return;
    case Break::close_before:
      break_off();
      close();
      return;
    default: break;
  }
  kernel().trace("server answers", server_.number_, *serial_);
  for (std::uint32_t i = 0; i < answer.interims; ++i) head_ += answer.interim(i);
  head_ += answer.head(*serial_, request_.id);
  const bool body = !answer.bodiless(request_.method) && answer.breaks != Break::endless_head &&
                    answer.breaks != Break::switching;
  const Hostile damage =
      answer.breaks == Break::bad_chunk ? Hostile::bad_chunk_size : Hostile::none;
  if (body) {
    body_ = BodyWriter(answer.framing, answer.body_bytes, answer_body(server_.seed_, *serial_),
                       answer.seed, answer.trailers, damage);
  }
  send_at(answer.sending);
  aim();
  send_more();
}

// Where the answer breaks off, if it does.
void Server::Peer::aim() {
  using Break = AnswerScript::Break;
  const AnswerScript& answer = attempt().answer;
  Prng prng(answer.seed);
  switch (answer.breaks) {
    case Break::reset_in_head:
    case Break::close_in_head: cut_at(sent() + 1 + prng.bounded(head_.size() - 1)); break;
    case Break::reset_in_body:
    case Break::close_in_body:
    case Break::stall_in_body:
      cut_at(sent() + head_.size() + prng.bounded(answer.body_bytes));
      break;
    default: break;
  }
}

void Server::Peer::compose(std::string& pending) {
  if (!answering_) return;
  pending += std::exchange(head_, {});
  if (pending.empty()) body_.produce(pending);
}

void Server::Peer::sent_all() {
  if (!serial_ || answered_ || !head_.empty()) return;
  attempt().answer_bytes = sent() - sent_before_;
  if (body_.done() && answering_) answer_sent();
}

void Server::Peer::cut() {
  using Break = AnswerScript::Break;
  const Break breaks = attempt().answer.breaks;
  attempt().answer_bytes = sent() - sent_before_;
  kernel().trace("server cuts its answer", server_.number_, *serial_);
  if (breaks == Break::stall_in_body) return;
  if (breaks == Break::reset_in_head || breaks == Break::reset_in_body) return vanish();
  break_off();
  close();
}

void Server::Peer::answer_sent() {
  using Break = AnswerScript::Break;
  const AnswerScript answer = attempt().answer;
  answered_ = true;
  if (answer.breaks == Break::extra_bytes) send_surplus();
  const bool ends = !answer.keep_alive || answer.framing == Framing::until_close ||
                    answer.breaks == Break::switching;
  if (ends) {
    close();
  } else if (attempt().request_complete) {
    next_request();
  }
}

void Server::Peer::send_surplus() {
  surplus_ = serial_;
  (void)endpoint_.send(AnswerScript::surplus(*serial_));
  watch_surplus();
}

// Notes when the surplus has arrived at weir's kernel.
void Server::Peer::watch_surplus() {
  if (!endpoint_.valid()) return;
  if (endpoint_.unacknowledged() == 0) {
    ledger_.attempt(*surplus_).surplus_since_ns = kernel().now_ns();
  } else {
    kernel().after(kMillisecond, [this] { watch_surplus(); });
  }
}

// Request and answer are over.
void Server::Peer::next_request() {
  const AnswerScript answer = attempt().answer;
  kernel().trace("server is done", server_.number_, *serial_);
  serial_.reset();
  answering_ = false;
  if (answer.breaks != AnswerScript::Break::close_later) return;
  kernel().after(answer.later_ns, [this] {
    if (!endpoint_.valid() || serial_ || closing_) return;
    ledger_.weather.servers_leave = true;
    endpoint_.close();
  });
}

// FIN behind what was said; with bytes of the request unread that would be a reset, so those are
// read first, and the rest is up to weir.
void Server::Peer::close() {
  closing_ = true;
  mute();
  if (serial_) attempt().closed = true;
  endpoint_.shutdown_send();
}

// The attempt under way fails by the server's doing.
void Server::Peer::break_off() {
  if (serial_) attempt().broken = true;
}

// weir has closed, or the network did.
void Server::Peer::over(bool by_reset) {
  kernel().trace("server hears the end", server_.number_, by_reset);
  if (by_reset) break_off();
  endpoint_.close();
}

// --- The server ----------------------------------------------------------------------------------

Server::Server(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Manners& manners,
               std::uint32_t number, const os::Address& address)
    : kernel_(kernel),
      seed_(seed),
      ledger_(ledger),
      manners_(manners),
      number_(number),
      address_(address) {}

Server::~Server() = default;

void Server::listen(Listener::Answer answer) {
  kernel_.trace("server listens", number_, static_cast<std::uint64_t>(answer));
  if (listener_ == nullptr) {
    listener_ = std::make_unique<Listener>(kernel_, address_, [this](Endpoint endpoint) {
      kernel_.trace("server accepts", number_, endpoint.connection());
      peers_.push_back(std::make_unique<Peer>(*this, std::move(endpoint)));
    });
  }
  listener_->answer(answer);
}

void Server::vanish() {
  ledger_.weather.servers_leave = true;
  listener_.reset();
  for (const auto& peer : peers_) peer->vanish();
}

std::size_t Server::connections() const {
  return static_cast<std::size_t>(
      std::count_if(peers_.begin(), peers_.end(), [](const auto& peer) { return peer->open(); }));
}

}  // namespace weir::sim
