// The admin pages as a stranger reaches them: the real server on its loop, a client that sends the
// input in pieces and then no more. Every request gets its answer, in order, with the right status
// and a body that ends where the head says; a request that is refused or has a body ends the
// connection; nothing else is sent, and nothing is left open.
#include "control/admin.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "control/local_http.h"
#include "loop/loop.h"
#include "os/os.h"
#include "proxy/errors.h"
#include "reader.h"

namespace {

using namespace weir;

constexpr int kTurnsMax = 10'000;

// A listening unix socket with a name that the kernel chooses and nobody has to remove.
os::Fd listen_somewhere(sockaddr_un& address, socklen_t& size) {
  os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  address = {AF_UNIX, {}};
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
  size = sizeof address;
  CHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  CHECK(::listen(fd.get(), 8) == 0);
  return fd;
}

// The server, and its loop turned by hand.
class Server {
 public:
  Server() : server_(loop_, listen_somewhere(address_, size_), pages(), patience()) {
    CHECK(server_.start());
  }

  os::Fd connect() {
    os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), size_) == 0);
    turn();
    CHECK(server_.connections() == 1);
    return fd;
  }
  // A message for the loop keeps it from waiting.
  void turn() {
    loop_.mailbox().post(nudge_);
    loop_.turn();
  }
  [[nodiscard]] bool busy() const { return server_.connections() != 0; }

 private:
  struct Nudge final : loop::Message {
    void deliver() override {}
  };

  static control::LocalHttpServer::Handler pages() {
    return control::admin_pages(
        {[] { return control::Phase::serving; }, [] { return std::string("page 1\n"); }});
  }

  // However slow the machine is, the answers are the same.
  static control::LocalHttpLimits patience() {
    constexpr std::uint64_t kHourMs = 3'600'000;
    control::LocalHttpLimits limits;
    limits.head_timeout_ms = limits.idle_timeout_ms = limits.answer_timeout_ms = kHourMs;
    return limits;
  }

  sockaddr_un address_;
  socklen_t size_ = 0;
  loop::Loop loop_;
  Nudge nudge_;
  control::LocalHttpServer server_;
};

void receive(const os::Fd& fd, std::string& answers) {
  char block[4096];
  for (ssize_t size; (size = ::recv(fd.get(), block, sizeof block, 0)) > 0;) {
    answers.append(block, static_cast<std::size_t>(size));
  }
}

std::string talk(Server& server, std::string_view bytes, const fuzz::PieceSizes& sizes) {
  const os::Fd client = server.connect();
  std::string answers;
  fuzz::feed_in_pieces(bytes, sizes, [&](std::string_view piece) {
    // After the last answer nobody listens any more.
    (void)::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    for (int i = 0; i < 3; ++i) server.turn();
    receive(client, answers);
  });
  ::shutdown(client.get(), SHUT_WR);
  for (int turns = 0; server.busy(); ++turns) {
    CHECK(turns < kTurnsMax, "the connection does not end");
    server.turn();
    receive(client, answers);
  }
  receive(client, answers);
  return answers;
}

struct Expected {
  std::string status;
  bool to_head = false;
  bool close = false;
};

Expected answer_to(const fuzz::Message& request) {
  constexpr std::string_view kPages[] = {"/", "/healthz", "/readyz", "/metrics"};
  const bool has_body =
      request.framing.kind == http::BodyFraming::Kind::chunked || request.framing.length != 0;
  Expected out = {"404", request.first == "HEAD", request.last || has_body};
  if (std::ranges::find(kPages, request.path) != std::end(kPages)) out.status = "200";
  if (has_body) out.status = "413";
  if (request.first != "GET" && request.first != "HEAD") out.status = "405";
  return out;
}

std::vector<Expected> expected_answers(std::string_view bytes) {
  fuzz::ReaderOptions options;
  options.one_head = true;
  std::vector<Expected> out;
  do {
    const fuzz::Reading reading = fuzz::read(options, bytes, {bytes.size()});
    if (reading.error != http::ParseError::none) {
      const bool to_head = !reading.messages.empty() && reading.messages[0].first == "HEAD";
      const auto status = proxy::refusal(reading.error).status;
      out.push_back({std::to_string(status), to_head, true});
    } else if (reading.complete == 1) {
      out.push_back(answer_to(reading.messages[0]));
    } else {
      return out;
    }
    bytes.remove_prefix(reading.consumed);
  } while (!out.back().close);
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server server;
  fuzz::Input input(data, size);
  const auto sizes = fuzz::take_piece_sizes(input);
  const std::string_view bytes = input.rest();
  const std::string answers = talk(server, bytes, sizes);
  std::string_view left = answers;
  for (const Expected& expected : expected_answers(bytes)) {
    fuzz::ReaderOptions options;
    options.mode = http::HeadParser::Mode::response;
    options.one_message = true;
    if (expected.to_head) options.request_method = http::MethodId::head;
    const fuzz::Reading reading = fuzz::read(options, left, {left.size()});
    CHECK(reading.complete == 1, "an answer is missing");
    CHECK(reading.messages[0].first == expected.status, "another answer");
    CHECK(reading.messages[0].last == expected.close);
    left.remove_prefix(reading.consumed);
  }
  CHECK(left.empty(), "more answers than requests");
  return 0;
}
