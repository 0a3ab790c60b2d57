#include "proxy/mirror.h"

#include <utility>

#include "base/check.h"
#include "proxy/server_report.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace weir::proxy {
namespace {

bool is_failure(os::IoStatus status) {
  return status != os::IoStatus::done && status != os::IoStatus::again;
}

}  // namespace

Mirror::Mirror(Worker& worker, SnapshotUse& use, std::uint32_t backend, http::MethodId method)
    : Source(loop::SourceKind::none),
      worker_(worker),
      use_(use),
      plan_(use.snapshot->backends()[backend]),
      backend_(*use.backends[backend]),
      method_(method) {
  ++use_.exchanges;
}

Mirror::~Mirror() { worker_.exchange_ended(use_); }

bool Mirror::begin(Session& client, std::uint64_t key, std::string_view request) {
  if (!request_.lease(worker_.buffers())) return false;
  if (plan_.send_proxy != 0 && !client.write_proxy_header(plan_.send_proxy, request_)) return false;
  if (request.size() > request_.room()) return false;
  const balance::Attempt attempt(key);
  const upstream::Backend::Picked picked = backend_.pick(plan_, {attempt}, now_us());
  if (picked.outcome != upstream::Backend::Outcome::picked) return false;
  pick_ = picked.pick;
  request_.append(request);
  worker_.loop().schedule(*this, loop::RunClass::bulk);
  return true;
}

void Mirror::enter(State next) {
  CHECK(kMirrorNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::mirror, state_, next);
  state_ = next;
  if (const std::optional<std::uint64_t> patience = patience_ms()) {
    worker_.loop().set_deadline(*this, worker_.loop().now_ms() + *patience);
  }
}

std::optional<std::uint64_t> Mirror::patience_ms() const {
  switch (state_) {
    case State::connecting: return plan_.connect_timeout_ms;
    case State::sending:
    case State::discarding: return plan_.response_body_timeout_ms;
    case State::waiting: return plan_.response_head_timeout_ms;
    case State::chosen:
    case State::ended: break;
  }
  return std::nullopt;
}

// As far as it goes without waiting.
void Mirror::run() {
  State before = State::ended;
  while (before != state_) {
    before = state_;
    step();
  }
}

void Mirror::step() {
  switch (state_) {
    case State::chosen: return connect();
    case State::connecting: return connect_finish();
    case State::sending: return send();
    case State::waiting: return read_head();
    case State::discarding: return discard();
    case State::ended: return;
  }
}

void Mirror::expire() {
  switch (state_) {
    case State::connecting: return connect_failed(os::IoStatus::timed_out);
    case State::sending:
    case State::waiting: return broken(true);
    case State::discarding: return fail(Event::abandoned);
    case State::chosen:
    case State::ended: return;
  }
}

void Mirror::abandon() { end(0); }

void Mirror::reap() { worker_.mirrors().destroy(*this); }

// --- The connection ------------------------------------------------------------------------------

// There is no second try, so a kept connection is looked at twice.
void Mirror::connect() {
  // One that says who the client is carries nobody else's requests.
  const bool nameless = plan_.send_proxy == 0;
  if (upstream::ServerConnection* kept =
          nameless ? pick_.pool->take_idle(nullptr, true) : nullptr) {
    reused_ = true;
    return adopt(*kept, true);
  }
  const upstream::ServerPool::Connecting connecting =
      pick_.pool->connect(nullptr, plan_.congestion);
  if (connecting.connection == nullptr) return connect_failed(connecting.status);
  adopt(*connecting.connection, connecting.status == os::IoStatus::done);
}

void Mirror::connect_finish() {
  const os::IoStatus status = pick_.pool->connect_finish(*connection_);
  if (status == os::IoStatus::done) return connected();
  if (status != os::IoStatus::again) connect_failed(status);
}

void Mirror::adopt(upstream::ServerConnection& connection, bool is_connected) {
  connection_ = &connection;
  worker_.loop().redirect(connection, this);
  connection.out = std::move(request_);
  if (is_connected) return connected();
  pending_ = true;
  pick_.pool->state().pending.fetch_add(1, std::memory_order_relaxed);
  enter(State::connecting);
}

void Mirror::connected() {
  not_pending();
  if (!reused_) report(Event::succeeded);
  note_request(worker_, plan_, pick_);
  parser_.begin(http::HeadParser::Mode::response, {});
  enter(State::sending);
}

void Mirror::not_pending() {
  if (!std::exchange(pending_, false)) return;
  pick_.pool->state().pending.fetch_sub(1);  // Seen before the gate is poked.
}

void Mirror::connect_failed(os::IoStatus status) {
  const bool local = status == os::IoStatus::no_descriptors || status == os::IoStatus::no_memory;
  if (local) return fail(Event::abandoned);
  pick_.pool->counters().connects_failed.add();
  fail(Event::failed);
}

// --- The copy and its answer ---------------------------------------------------------------------

// A server that takes no more may have answered before: its word is looked for, and then it is
// over.
void Mirror::send() {
  const bool failed = is_failure(connection_->flush().status);
  if (connection_->out.empty()) {
    connection_->out.release();
    return enter(State::waiting);
  }
  if (failed) connection_->ready.latch(os::kReadable);
  read_head();
  if (failed && state_ == State::sending) broken();
}

// Interim heads are dropped like everything else.
void Mirror::read_head() {
  net::Buffer& in = connection_->in;
  for (int heads = 0; heads < kHeadsPerStep;) {
    const http::ParseStatus status =
        in.empty() ? http::ParseStatus::need_more : parser_.parse(in.data(), in.size());
    if (status == http::ParseStatus::error) return broken();
    if (status == http::ParseStatus::complete) {
      const auto info = http::analyse_response(parser_, method_);
      if (!info) return broken();
      in.consume(parser_.head_bytes());
      if (!info->interim) return head_complete(*info);
      parser_.begin(http::HeadParser::Mode::response, {});
      ++heads;
      continue;
    }
    if (!connection_->ready.may_receive()) return;
    const os::IoStatus received = connection_->fill().status;
    if (received == os::IoStatus::again) return;
    if (received == os::IoStatus::no_memory) return fail(Event::abandoned);
    if (received != os::IoStatus::done) return broken();
    answer_begun_ = true;
  }
  worker_.loop().schedule(*this, loop::RunClass::bulk);
}

// An answer that came before the copy was sent leaves a connection in the middle of a request;
// ServerPool::put_back() sees the bytes that are left, and closes it.
void Mirror::head_complete(const http::ResponseInfo& info) {
  answered(info.status);
  idle_ms_ = plan_.send_proxy == 0 ? keep_time_ms(info, plan_.idle_timeout_ms) : 0;
  body_.begin(info.body, false, parser_, {});
  enter(State::discarding);
}

void Mirror::discard() {
  switch (body_.discard(*connection_)) {
    case BodyFlow::Status::complete: return end(idle_ms_);
    case BodyFlow::Status::working: return worker_.loop().schedule(*this, loop::RunClass::bulk);
    case BodyFlow::Status::need_input:
      if (connection_->in.empty()) connection_->in.release();
      return;
    case BodyFlow::Status::no_buffer: return fail(Event::abandoned);
    default: note_cut_answer(pick_, bad_); return fail(Event::abandoned);
  }
}

// --- The end -------------------------------------------------------------------------------------

// No answer, or none that can be understood, or not in time. A kept connection that closes unused
// is not a sign of a broken server.
void Mirror::broken(bool timed_out) {
  pick_.pool->counters().errors.add();
  if (reused_ && !answer_begun_ && !timed_out) return fail(Event::abandoned);
  note_answer(worker_, backend_, pick_, true);
  fail(Event::erred);
}

void Mirror::fail(Event event) {
  worker_.counters().mirror_failed.add();
  conclude(event);
  end(0);
}

void Mirror::answered(std::uint16_t status) {
  bad_ = is_bad_status(status);
  note_answer(worker_, backend_, pick_, bad_);
  upstream::ServerCounters& counters = pick_.pool->counters();
  counters.responses.add();
  counters.first_byte_us.record(now_us() - pick_.started_us);
  conclude(bad_ ? Event::erred : Event::answered);
}

void Mirror::conclude(Event event) {
  if (!std::exchange(reported_, true)) report(event);
}

void Mirror::report(Event event) {
  report_outcome(worker_, plan_, backend_, pick_, event, "mirrored requests failed");
}

// `idle_ms`: how long the connection may wait for another request; 0: it closes.
void Mirror::end(std::uint64_t idle_ms) {
  conclude(Event::abandoned);
  not_pending();
  request_.release();
  if (connection_ != nullptr) {
    pick_.pool->put_back(*std::exchange(connection_, nullptr), idle_ms);
  }
  backend_.release(plan_, pick_, now_us());
  enter(State::ended);
  static_cast<ListLink<MirrorTag>&>(*this).unlink();
  worker_.loop().retire(*this);
}

std::uint64_t Mirror::now_us() const { return worker_.loop().now_us(); }

const char* to_string(Mirror::State state) {
  switch (state) {
    case Mirror::State::chosen: return "chosen";
    case Mirror::State::connecting: return "connecting";
    case Mirror::State::sending: return "sending";
    case Mirror::State::waiting: return "waiting";
    case Mirror::State::discarding: return "discarding";
    case Mirror::State::ended: return "ended";
  }
  return "?";
}

}  // namespace weir::proxy
