#include "sim/world/server.h"

#include <algorithm>
#include <utility>

#include "sim/world/checkers.h"
#include "sim/world/settings.h"

namespace weir::sim {
namespace {

// Who has given a request up may lose its processor before it closes the connection, twice.
constexpr std::uint64_t kLeavingMax = 3 * kStalledForNsMax;

// The number of a copy among the attempts of its request.
constexpr std::uint64_t kOfCopy = 1'000'000;

// What a health check may be told, load reports in all their forms among it.
constexpr std::string_view kReports[] = {
    "fine",  "0\n3\n",    "5\n100\n",         "2\n4000000000\n", "up 50%",
    "drain", "maxconn:1", "up maxconn:3 75%", "maint",           "{\"errors\": 1, \"entries\": 9}"};
constexpr std::string_view kWell = "up 100% maxconn:0";

std::string probe_answer(int status, std::string_view body, std::size_t said) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Probed\r\nX-Probe: 1\r\nContent-Length: " + std::to_string(said) +
         "\r\nConnection: close\r\n\r\n" + std::string(body);
}

}  // namespace

// One connection from weir.
class Server::Peer final : public Talker {
 public:
  Peer(Server& server, Endpoint endpoint)
      : Talker(server.kernel_, {}, {}), server_(server), ledger_(server.ledger_) {
    endpoint_ = std::move(endpoint);
    endpoint_.attach(*this);
    if (reads_nothing()) deafen();
    kernel().after(0, [this] { read_more(); });
  }
  [[nodiscard]] bool open() const { return endpoint_.valid(); }
  // Of the request that weir waits to be answered here.
  [[nodiscard]] std::optional<std::uint64_t> guest() const {
    return answered_ || endpoint_.left_alone() ? std::nullopt : serial_;
  }
  // weir does not wait for this answer any more, and never got it.
  [[nodiscard]] bool given_up(std::uint64_t serial) const {
    return serial_ == serial && !answered_ && endpoint_.left_alone();
  }
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
  void probe_complete();
  void answer_probe();
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
  [[nodiscard]] bool reads_nothing() const;
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
  bool probe_ = false;  // It carries a health check.
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
  check(ledger_.may_be_asked(server_.number_), "only configured servers are asked", describe());
  if (oracle_.head().target == kProbePath) {
    check_probe(oracle_.head());
    probe_ = true;
    return;
  }
  check(!probe_, "health checks have connections of their own", describe());
  Attempt made;
  made.copy = server_.mirror_;
  Request& request =
      made.copy ? check_copy(ledger_, oracle_.head()) : check_arrival(ledger_, oracle_.head());
  made.request = request.script.id;
  made.server = server_.number_;
  made.answer = draw_answer(server_.seed_, request.script,
                            made.copy ? kOfCopy : request.attempts.size(), server_.manners_);
  // Nobody waits for the answer to a copy: many come before the request is complete, and it may
  // never be.
  if (made.copy && made.answer.seed % 2 == 0) {
    made.answer.early = true;
    made.answer.delay_ns = 0;
    if (made.answer.seed % 8 == 0 && !server_.manners_.plain) deafen();
  }
  serial_ = ledger_.add_attempt(made);
  if (!made.copy) request.attempts.push_back(*serial_);
  request_ = request.script;
  request_bytes_ = 0;
  answering_ = answered_ = false;
  sent_before_ = sent();
  kernel().trace("server has a head", server_.number_, *serial_);
  server_.check_guests();
  if (surplus_) {
    check_surplus(ledger_, request, *surplus_);
    // weir takes the surplus for the answer to this request, and what it sends here from now on
    // meets the end of the connection.
    server_.trouble();
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
  if (probe_) return probe_complete();
  check(request_.hostile == Hostile::none, "nothing ambiguous reaches a server", describe());
  check(request_bytes_ == request_.body_bytes, "a complete request is whole", describe());
  check(!ledger_.find(request_.id)->overtaken, "nothing follows a complete answer", describe());
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

// --- Health checks -------------------------------------------------------------------------------

void Server::Peer::probe_complete() {
  ++ledger_.totals.probes;
  Prng prng(mix(mix(server_.seed_, 6), std::uint64_t{server_.number_} << 32 | server_.probes_++));
  const bool well = server_.well_ || server_.manners_.plain;
  const std::uint64_t kind = well ? 0 : prng.bounded(100);
  const std::string_view report = well ? kWell : kReports[prng.bounded(std::size(kReports))];
  const bool head = oracle_.head().method == "HEAD";
  head_ = probe_answer(kind < 60 || kind >= 80 ? 200 : 503, head ? "" : report, report.size());
  if (kind >= 80) head_.resize(prng.bounded(head_.size()));
  if (kind >= 95) return;  // It never answers.
  if (kind >= 90) return vanish();
  kernel().after(well ? 0 : prng.bounded(2 * kSecond), [this] { answer_probe(); });
}

void Server::Peer::answer_probe() {
  answering_ = true;
  send_more();
  if (endpoint_.valid()) close();
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
    server_.trouble();
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

// Copies fit a block and seldom fill a socket, so it takes a server that reads nothing at all to
// see what becomes of one that cannot be sent.
bool Server::Peer::reads_nothing() const {
  Prng prng(mix(mix(server_.seed_, 11), endpoint_.connection()));
  return server_.mirror_ && !server_.manners_.plain && prng.bounded(4) == 0;
}

// weir has closed, or the network did.
void Server::Peer::over(bool by_reset) {
  kernel().trace("server hears the end", server_.number_, by_reset);
  if (by_reset) break_off();
  endpoint_.close();
}

// --- The server ----------------------------------------------------------------------------------

std::vector<Server::Guest> Server::guests() const {
  std::vector<Guest> found;
  for (const auto& peer : peers_) {
    if (const auto serial = peer->guest()) found.push_back({peer.get(), *serial});
  }
  return found;
}

// weir gives a slot back before it has closed the connection of a request that it gave up. So if
// there seem to be too many, those are left out that turn out to be of that kind.
void Server::check_guests() {
  const std::vector<Guest> now = guests();
  const std::uint32_t most = ledger_.most_at_once(number_);
  if (now.size() <= most || ledger_.weather.late) return;
  kernel_.after(kLeavingMax, [this, now, most] {
    const auto waited_for = std::count_if(now.begin(), now.end(), [](const Guest& guest) {
      return !guest.peer->given_up(guest.serial);
    });
    check(waited_for <= static_cast<std::ptrdiff_t>(most), "no server has more than its limit",
          "server " + std::to_string(number_) + ": " + std::to_string(waited_for) + " of " +
              std::to_string(most));
  });
}

Server::Server(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Manners& manners,
               std::uint32_t number, const os::Address& address)
    : kernel_(kernel),
      seed_(seed),
      ledger_(ledger),
      manners_(manners),
      number_(number),
      mirror_(number >= manners.servers),
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
  trouble();
  listener_.reset();
  for (const auto& peer : peers_) peer->vanish();
}

std::size_t Server::connections() const {
  return static_cast<std::size_t>(
      std::count_if(peers_.begin(), peers_.end(), [](const auto& peer) { return peer->open(); }));
}

}  // namespace weir::sim
