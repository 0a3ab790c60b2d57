#include "proxy/exchange_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weir::proxy {
namespace {

using Request = RequestState;
using Response = ResponseState;

constexpr std::array kRequests = {Request::head,     Request::ready,      Request::sending,
                                  Request::complete, Request::discarding, Request::ended};
constexpr std::array kResponses = {Response::none, Response::relaying, Response::local,
                                   Response::complete, Response::broken};

// A legal way to each state.
ExchangeCore core_in(Request state) {
  ExchangeCore core;
  const auto walk = [&](std::initializer_list<Request> path) {
    for (const Request step : path) core.enter(step);
  };
  switch (state) {
    case Request::head: break;
    case Request::ready: walk({Request::ready}); break;
    case Request::sending: walk({Request::ready, Request::sending}); break;
    case Request::complete: walk({Request::ready, Request::sending, Request::complete}); break;
    case Request::discarding: walk({Request::ready, Request::sending, Request::discarding}); break;
    case Request::ended: walk({Request::ended}); break;
  }
  return core;
}

void walk_to(ExchangeCore& core, Response state) {
  if (state == Response::none) return;
  if (state == Response::complete) core.enter(Response::relaying);
  core.enter(state);
}

// --- Every (state, next) pair --------------------------------------------------------------------

// The edges as the diagram above the enums draws them, written down a second time.
const std::set<std::pair<Request, Request>> kRequestEdges = {
    {Request::head, Request::ready},       {Request::head, Request::ended},
    {Request::ready, Request::sending},    {Request::ready, Request::discarding},
    {Request::ready, Request::ended},      {Request::sending, Request::ready},
    {Request::sending, Request::complete}, {Request::sending, Request::discarding},
    {Request::sending, Request::ended},    {Request::complete, Request::ready},
    {Request::complete, Request::ended},   {Request::discarding, Request::complete},
    {Request::discarding, Request::ended},
};
const std::set<std::pair<Response, Response>> kResponseEdges = {
    {Response::none, Response::relaying},   {Response::none, Response::local},
    {Response::none, Response::broken},     {Response::relaying, Response::complete},
    {Response::relaying, Response::broken}, {Response::local, Response::complete},
    {Response::local, Response::broken},
};

TEST(ExchangeCoreDeathTest, TheRequestTakesLegalEdgesAndNoOthers) {
  for (const Request from : kRequests) {
    for (const Request to : kRequests) {
      SCOPED_TRACE(std::string(to_string(from)) + " -> " + to_string(to));
      ExchangeCore core = core_in(from);
      if (kRequestEdges.contains({from, to})) {
        core.enter(to);
        EXPECT_EQ(core.request(), to);
      } else {
        EXPECT_DEATH(core.enter(to), "CHECK failed");
      }
    }
  }
}

TEST(ExchangeCoreDeathTest, TheResponseTakesLegalEdgesAndNoOthers) {
  for (const Response from : kResponses) {
    for (const Response to : kResponses) {
      SCOPED_TRACE(std::string(to_string(from)) + " -> " + to_string(to));
      ExchangeCore core;
      walk_to(core, from);
      if (kResponseEdges.contains({from, to})) {
        core.enter(to);
        EXPECT_EQ(core.response(), to);
      } else {
        EXPECT_DEATH(core.enter(to), "CHECK failed");
      }
    }
  }
}

// Joint rule: another attempt needs a response of which the client has seen nothing.
TEST(ExchangeCoreDeathTest, NoSecondAttemptOnceTheAnswerHasBegun) {
  for (const Request from : {Request::sending, Request::complete}) {
    for (const Response response : kResponses) {
      ExchangeCore core = core_in(from);
      walk_to(core, response);
      if (response == Response::none) {
        core.enter(Request::ready);
        EXPECT_EQ(core.request(), Request::ready);
      } else {
        EXPECT_DEATH(core.enter(Request::ready), "CHECK failed") << to_string(response);
      }
    }
  }
}

// --- What follows from a pair of states ----------------------------------------------------------

TEST(ExchangeCore, IsFinishedWhenBothSidesHaveComeToRest) {
  for (const Request request : kRequests) {
    for (const Response response : kResponses) {
      ExchangeCore core = core_in(request);
      walk_to(core, response);
      const bool rests = request == Request::complete || request == Request::ended;
      const bool expected =
          response == Response::broken || (response == Response::complete && rests);
      EXPECT_EQ(core.finished(), expected) << to_string(request) << ", " << to_string(response);
      EXPECT_EQ(core.server_reusable(),
                request == Request::complete && response == Response::complete);
    }
  }
}

TEST(ExchangeCore, TheClientGoesOnOnlyAfterTwoExactEnds) {
  for (const Request request : {Request::complete, Request::ended}) {
    for (const Response response : {Response::complete, Response::broken}) {
      for (const bool persists : {false, true}) {
        for (const bool unread : {false, true}) {
          ExchangeCore core = core_in(request);
          walk_to(core, response);
          ClientFate expected = ClientFate::close_staged;
          if (response == Response::broken) {
            expected = ClientFate::close_as_broken;
          } else if (request == Request::complete) {
            if (persists) {
              expected = ClientFate::keep;
            } else if (!unread) {
              expected = ClientFate::close;
            }
          }
          EXPECT_EQ(core.client_fate(persists, unread), expected)
              << to_string(request) << ", " << to_string(response) << persists << unread;
        }
      }
    }
  }
}

// --- The one table about trying again ------------------------------------------------------------

// DESIGN.md section 6 row by row; the first row that applies decides.
struct Row {
  const char* when;
  bool (*applies)(const AttemptFacts&);
  Retry then;
};
const std::vector<Row> kRows = {
    {"connecting failed", [](const AttemptFacts& f) { return !f.connected; }, Retry::other_server},
    {"the server acts on it: a byte of an answer came",
     [](const AttemptFacts& f) { return f.answer_begun; }, Retry::none},
    {"what was sent cannot be sent again", [](const AttemptFacts& f) { return !f.held; },
     Retry::none},
    {"a kept connection was closed, and the request does no harm twice",
     [](const AttemptFacts& f) { return f.reused && !f.timed_out && f.idempotent; },
     Retry::fresh_connection},
    {"a kept connection was closed, and none of the request was sent",
     [](const AttemptFacts& f) { return f.reused && !f.timed_out && !f.sent; },
     Retry::fresh_connection},
    {"nothing was sent", [](const AttemptFacts& f) { return !f.sent; }, Retry::other_server},
    {"idempotent, held in full, no answer byte yet",
     [](const AttemptFacts& f) { return f.idempotent && f.whole; }, Retry::other_within_budget},
    {"everything else", [](const AttemptFacts&) { return true; }, Retry::none},
};

AttemptFacts facts_of(unsigned bits) {
  AttemptFacts facts;
  facts.connected = (bits & 1) != 0;
  facts.reused = (bits & 2) != 0;
  facts.sent = (bits & 4) != 0;
  facts.answer_begun = (bits & 8) != 0;
  facts.held = (bits & 16) != 0;
  facts.whole = (bits & 32) != 0;
  facts.idempotent = (bits & 64) != 0;
  facts.timed_out = (bits & 128) != 0;
  return facts;
}

TEST(RetryAfter, FollowsTheTableForEveryCombinationOfFacts) {
  std::set<const char*> met;
  for (unsigned bits = 0; bits < 256; ++bits) {
    const AttemptFacts facts = facts_of(bits);
    const auto row = std::find_if(kRows.begin(), kRows.end(),
                                  [&](const Row& each) { return each.applies(facts); });
    EXPECT_EQ(retry_after(facts), row->then) << row->when << ", facts " << bits;
    met.insert(row->when);
  }
  EXPECT_EQ(met.size(), kRows.size()) << "a row that never applies";
}

// What must hold whatever the table says.
TEST(RetryAfter, NeverEndangersARequest) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const AttemptFacts facts = facts_of(bits);
    if (!facts.connected || retry_after(facts) == Retry::none) continue;
    EXPECT_FALSE(facts.answer_begun) << bits;
    EXPECT_TRUE(facts.held) << bits << ": half a request would be lost";
    EXPECT_TRUE(!facts.sent || facts.idempotent) << bits << ": RFC 9110 9.2.2";
  }
}

TEST(ExchangeCore, EveryStateHasItsOwnName) {
  std::set<std::string> names;
  for (const Request state : kRequests) names.insert(to_string(state));
  EXPECT_EQ(names.size(), kRequests.size());
  names.clear();
  for (const Response state : kResponses) names.insert(to_string(state));
  EXPECT_EQ(names.size(), kResponses.size());
  EXPECT_FALSE(names.contains("?"));
}

}  // namespace
}  // namespace weir::proxy
