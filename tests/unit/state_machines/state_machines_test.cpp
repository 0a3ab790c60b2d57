// docs/state_machines.md is made from the constexpr tables of the state machines and from the
// comments beside their states. The test fails when the page does not say what the code says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "control/local_connection.h"
#include "health/active.h"
#include "health/passive.h"
#include "proxy/exchange_core.h"
#include "proxy/http_session.h"
#include "proxy/mirror.h"
#include "proxy/relay.h"
#include "proxy/tcp_session.h"
#include "proxy/worker.h"
#include "upstream/probe.h"
#include "upstream/server_connection.h"
#include "upstream/ticket.h"

namespace weir {
namespace {

constexpr const char* kPage = WEIR_SOURCE_DIR "/docs/state_machines.md";
constexpr const char* kCommand =
    "WEIR_UPDATE_DOCS=1 build/release/unit_state_machines --gtest_filter=StateMachines.*";

struct Machine {
  std::string title;
  std::string about;
  std::string header;  // Below src.
  std::string enumeration;
  std::vector<std::string> states;
  std::vector<std::vector<bool>> next;
};

template <typename State, typename Table>
Machine machine(const char* title, const char* about, const char* header, const char* enumeration,
                const Table& table) {
  Machine made{title, about, header, enumeration, {}, {}};
  for (std::size_t i = 0; i < table.size(); ++i) {
    made.states.emplace_back(to_string(static_cast<State>(i)));
    made.next.emplace_back(table[i].begin(), table[i].end());
  }
  return made;
}

std::vector<Machine> machines() {
  return {
      machine<proxy::Worker::State>("Worker", "One data-plane thread, from start to exit.",
                                    "proxy/worker.h", "State", proxy::kWorkerNext),
      machine<proxy::HttpSession::State>("HttpSession",
                                         "A client's connection, from accept to close.",
                                         "proxy/http_session.h", "State", proxy::kHttpSessionNext),
      machine<proxy::TcpSession::State>(
          "TcpSession", "A client's connection of a TCP listener, from accept to close.",
          "proxy/tcp_session.h", "State", proxy::kTcpSessionNext),
      machine<proxy::Relay::State>("Relay", "One of the two directions of a relay or tunnel.",
                                   "proxy/relay.h", "State", proxy::kRelayNext),
      machine<proxy::RequestState>("Exchange: the request",
                                   "Where the request of one exchange stands.",
                                   "proxy/exchange_core.h", "RequestState", proxy::kRequestNext),
      machine<proxy::ResponseState>(
          "Exchange: the response",
          "Where its response stands. The rules that join the two are above the tables.",
          "proxy/exchange_core.h", "ResponseState", proxy::kResponseNext),
      machine<upstream::ServerConnection::State>(
          "ServerConnection", "A connection to a server, used by one request at a time.",
          "upstream/server_connection.h", "State", upstream::kServerConnectionNext),
      machine<health::Passive::State>(
          "Passive ejection",
          "What the traffic itself tells about a server; shared by all workers.",
          "health/passive.h", "State", health::kPassiveNext),
      machine<health::Active::State>("Active check", "The verdict of a server's health check.",
                                     "health/active.h", "State", health::kActiveNext),
      machine<upstream::Probe::State>("Probe", "One health check of one server.",
                                      "upstream/probe.h", "State", upstream::kProbeNext),
      machine<upstream::Ticket::State>("Ticket", "A request in the queue of its backend.",
                                       "upstream/ticket.h", "State", upstream::kTicketNext),
      machine<proxy::Mirror::State>("Mirror", "A copy of a request, whose answer nobody reads.",
                                    "proxy/mirror.h", "State", proxy::kMirrorNext),
      machine<control::LocalConnection::State>(
          "LocalConnection", "A client of the admin pages or of a demo server.",
          "control/local_connection.h", "State", control::kLocalConnectionNext),
  };
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? "" : std::string(text.substr(first));
}

// The comment beside an enumerator, with the lines that continue it; empty when there is none.
std::string comment_of(const Machine& made, const std::string& state) {
  std::istringstream lines(read_file(std::string(WEIR_SOURCE_DIR "/src/") + made.header));
  std::string line;
  while (std::getline(lines, line) &&
         line.find("enum class " + made.enumeration + " ") == std::string::npos) {
  }
  std::string comment;
  while (std::getline(lines, line) && line.find("};") == std::string::npos) {
    const std::string code = trimmed(line);
    const std::size_t mark = code.find("//");
    if (mark == std::string::npos) continue;
    if (code.starts_with(state + ",")) {
      comment = trimmed(std::string_view(code).substr(mark + 2));
    } else if (mark == 0 && !comment.empty()) {
      comment += " " + trimmed(std::string_view(code).substr(2));
    } else if (!comment.empty()) {
      break;
    }
  }
  return comment;
}

std::string next_states(const Machine& made, std::size_t state) {
  std::string text;
  for (std::size_t next = 0; next < made.states.size(); ++next) {
    if (!made.next[state][next]) continue;
    text += (text.empty() ? "`" : ", `") + made.states[next] + "`";
  }
  return text.empty() ? "nothing: the end" : text;
}

std::string render(const Machine& made) {
  std::string page = "\n## " + made.title + "\n\n" + made.about + " Declared in `src/" +
                     made.header + "`.\n\n```mermaid\nstateDiagram-v2\n    [*] --> " +
                     made.states[0] + "\n";
  for (std::size_t state = 0; state < made.states.size(); ++state) {
    for (std::size_t next = 0; next < made.states.size(); ++next) {
      if (!made.next[state][next]) continue;
      page += "    " + made.states[state] + " --> " + made.states[next] + "\n";
    }
    if (next_states(made, state) == "nothing: the end") {
      page += "    " + made.states[state] + " --> [*]\n";
    }
  }
  page += "```\n\n| State | What it means | What may follow |\n|---|---|---|\n";
  for (std::size_t state = 0; state < made.states.size(); ++state) {
    page += "| `" + made.states[state] + "` | " + comment_of(made, made.states[state]) + " | " +
            next_states(made, state) + " |\n";
  }
  return page;
}

std::string render_page() {
  std::string page =
      "# State machines\n\n"
      "Every object that lives for more than one turn of the loop says in one enum where it\n"
      "stands. One table beside the enum lists what may follow each state, and the one function\n"
      "that changes the state aborts on anything else. This page is made from those tables and\n"
      "from the comments beside the states; a unit test fails when it is stale. To make it "
      "anew:\n\n"
      "    " +
      std::string(kCommand) + "\n";
  for (const Machine& made : machines()) page += render(made);
  return page;
}

TEST(StateMachines, ThePageSaysWhatTheTablesSay) {
  const std::string page = render_page();
  if (std::getenv("WEIR_UPDATE_DOCS") != nullptr) std::ofstream(kPage) << page;
  const std::string written = read_file(kPage);
  const auto differs = std::mismatch(written.begin(), written.end(), page.begin(), page.end());
  const auto at = static_cast<std::size_t>(differs.second - page.begin());
  EXPECT_TRUE(written == page) << "docs/state_machines.md is stale from here on:\n"
                               << page.substr(at, 200) << "\nrun " << kCommand;
}

TEST(StateMachines, EveryStateIsExplainedAndHasItsOwnName) {
  for (const Machine& made : machines()) {
    EXPECT_EQ(std::set<std::string>(made.states.begin(), made.states.end()).size(),
              made.states.size())
        << made.title;
    for (const std::string& state : made.states) {
      EXPECT_NE(state, "?") << made.title;
      EXPECT_FALSE(comment_of(made, state).empty()) << made.title << ", " << state;
    }
  }
}

// States from which, or to which, a walk along the table leads.
std::set<std::size_t> reachable(const Machine& made, std::size_t from) {
  std::set<std::size_t> seen{from};
  std::vector<std::size_t> open{from};
  while (!open.empty()) {
    const std::size_t state = open.back();
    open.pop_back();
    for (std::size_t next = 0; next < made.states.size(); ++next) {
      if (made.next[state][next] && seen.insert(next).second) open.push_back(next);
    }
  }
  return seen;
}

bool returns_to_start(const Machine& made) {
  return std::any_of(made.next.begin(), made.next.end(),
                     [](const std::vector<bool>& next) { return next[0]; });
}

std::size_t first_next(const Machine& made) {
  const std::vector<bool>& next = made.next[0];
  return static_cast<std::size_t>(std::find(next.begin(), next.end(), true) - next.begin());
}

TEST(StateMachines, EveryStateCanBeReachedAndLeft) {
  for (const Machine& made : machines()) {
    ASSERT_EQ(reachable(made, 0).size(), made.states.size()) << made.title;
    std::set<std::size_t> ends;
    for (std::size_t state = 0; state < made.states.size(); ++state) {
      EXPECT_EQ(made.next[state].size(), made.states.size()) << made.title;
      if (next_states(made, state) == "nothing: the end") ends.insert(state);
    }
    // What has no end returns to where it began, or to where it first went: a server is never lost.
    if (ends.empty()) ends.insert(returns_to_start(made) ? 0 : first_next(made));
    for (std::size_t state = 0; state < made.states.size(); ++state) {
      const std::set<std::size_t> follows = reachable(made, state);
      EXPECT_TRUE(std::any_of(ends.begin(), ends.end(),
                              [&](std::size_t end) { return follows.contains(end); }))
          << made.title << " is caught in " << made.states[state];
    }
  }
}

}  // namespace
}  // namespace weir
