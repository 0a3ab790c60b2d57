// The resolver against a name server of the test's own.
#include "os/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fake_dns.h"
#include "sockets.h"

namespace weir::os {
namespace {

using test::FakeDns;
using test::Reply;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kSoonMs = 20;        // For tests in which nobody answers.
constexpr int kNeverMs = 120'000;  // For those in which an answer must not be given up.

class ResolverTest : public testing::Test {
 protected:
  Answer next(Resolver& resolver) {
    while (true) {
      if (std::optional<Answer> answer = resolver.next_answer()) return *answer;
      if (!test::wait_for(resolver.answered(), POLLIN)) return {};
    }
  }
  Answer look_up(const std::string& name, bool srv = false, int timeout_ms = kNeverMs) {
    Resolver resolver(timeout_ms);
    resolver.ask({name, srv, dns.address()});
    Answer answer = next(resolver);
    EXPECT_EQ(answer.question, (Question{name, srv, dns.address()}));
    return answer;
  }
  std::vector<std::string> ips(const Answer& answer) {
    std::vector<std::string> all;
    for (const ResolvedAddress& address : answer.addresses) all.push_back(address.ip);
    return all;
  }

  FakeDns dns;
};

TEST_F(ResolverTest, BothFamiliesWithTheShortestLifetime) {
  dns.set("app.test", test::kA,
          {{test::a("app.test", 60, "10.0.0.8"), test::a("app.test", 60, "10.0.0.7"),
            test::a("app.test", 60, "10.0.0.8")}});
  dns.set("app.test", test::kAaaa, {{test::aaaa("app.test", 30, "fd00::7")}});
  const Answer answer = look_up("app.test");
  EXPECT_EQ(answer.status, LookupStatus::ok);
  EXPECT_THAT(ips(answer), ElementsAre("10.0.0.7", "10.0.0.8", "fd00::7"));
  EXPECT_EQ(answer.ttl_s, 30u);
  EXPECT_THAT(answer.unknown, IsEmpty());
  EXPECT_EQ(answer.addresses[0].target, "app.test");
  EXPECT_EQ(answer.addresses[0].port, 0);
}

TEST_F(ResolverTest, AnAliasLimitsTheLifetime) {
  dns.set("www.test", test::kA,
          {{test::cname("www.test", 7, "app.test"), test::a("app.test", 300, "10.0.0.7")}});
  const Answer answer = look_up("www.test");
  EXPECT_THAT(ips(answer), ElementsAre("10.0.0.7"));
  EXPECT_EQ(answer.ttl_s, 7u);
}

TEST_F(ResolverTest, AnAliasOfNothing) {
  dns.set("www.test", test::kA, {{test::cname("www.test", 7, "app.test")}});
  EXPECT_EQ(look_up("www.test").status, LookupStatus::no_data);
}

TEST_F(ResolverTest, ALifetimeWithTheHighestBitIsNone) {
  dns.set("app.test", test::kA, {{test::a("app.test", 0x8000'0001, "10.0.0.7")}});
  EXPECT_EQ(look_up("app.test").ttl_s, 0u);
}

TEST_F(ResolverTest, SrvRecordsWithTheirTargets) {
  dns.set("_http._tcp.test", test::kSrv,
          {{test::srv("_http._tcp.test", 20, 10, 5, 3000, "b.test"),
            test::srv("_http._tcp.test", 9, 1, 60, 3001, "a.test")}});
  dns.set("a.test", test::kA,
          {{test::a("a.test", 60, "10.0.0.1"), test::a("a.test", 60, "10.0.0.2")}});
  dns.set("b.test", test::kAaaa, {{test::aaaa("b.test", 60, "fd00::1")}});
  const Answer answer = look_up("_http._tcp.test", true);
  EXPECT_EQ(answer.status, LookupStatus::ok);
  EXPECT_THAT(answer.addresses, ElementsAre(ResolvedAddress{1, 60, 3001, "10.0.0.1", "a.test"},
                                            ResolvedAddress{1, 60, 3001, "10.0.0.2", "a.test"},
                                            ResolvedAddress{10, 5, 3000, "fd00::1", "b.test"}));
  EXPECT_EQ(answer.ttl_s, 9u);
}

TEST_F(ResolverTest, ASrvTargetThatFailsIsUnknown) {
  dns.set("_http._tcp.test", test::kSrv,
          {{test::srv("_http._tcp.test", 20, 0, 0, 3000, "a.test"),
            test::srv("_http._tcp.test", 20, 0, 0, 3000, "b.test")}});
  dns.set("a.test", test::kA, {{test::a("a.test", 60, "10.0.0.1")}});
  dns.set("b.test", test::kA, {.rcode = 2});
  const Answer answer = look_up("_http._tcp.test", true);
  EXPECT_EQ(answer.status, LookupStatus::ok);
  EXPECT_THAT(ips(answer), ElementsAre("10.0.0.1"));
  EXPECT_THAT(answer.unknown, ElementsAre(UnknownPart{"b.test", false}));
}

TEST_F(ResolverTest, ASrvRecordThatSaysThereIsNoService) {
  dns.set("_http._tcp.test", test::kSrv, {{test::srv("_http._tcp.test", 20, 0, 0, 3000, "")}});
  EXPECT_EQ(look_up("_http._tcp.test", true).status, LookupStatus::no_data);
}

// More records than a datagram takes, too: they come over TCP.
TEST_F(ResolverTest, MoreSrvTargetsThanAreAsked) {
  Reply records;
  for (std::size_t i = 1; i <= Resolver::kTargetsMax + 6; ++i) {
    const std::string target = "t" + std::to_string(i) + ".test";
    records.records.push_back(test::srv("_http._tcp.test", 20, 0, 0, 3000, target));
    dns.set(target, test::kA, {{test::a(target, 60, "10.0.0." + std::to_string(i))}});
  }
  dns.set("_http._tcp.test", test::kSrv, records);
  const Answer answer = look_up("_http._tcp.test", true);
  EXPECT_EQ(answer.addresses.size(), Resolver::kTargetsMax);
  EXPECT_EQ(answer.ttl_s, 20u);
}

TEST_F(ResolverTest, WhatNameServersSayOfNamesWithoutAddresses) {
  dns.set("empty.test", test::kSrv, {});
  dns.set("broken.test", test::kA, {.rcode = 2});
  dns.set("refused.test", test::kA, {.rcode = 5});
  EXPECT_EQ(look_up("nowhere.test").status, LookupStatus::no_such_name);
  EXPECT_EQ(look_up("nowhere.test", true).status, LookupStatus::no_such_name);
  EXPECT_EQ(look_up("empty.test").status, LookupStatus::no_data);
  EXPECT_EQ(look_up("broken.test").status, LookupStatus::server_failure);
  EXPECT_EQ(look_up("refused.test").status, LookupStatus::server_failure);
  EXPECT_EQ(look_up("nowhere.test").ttl_s, 0u);
}

TEST_F(ResolverTest, GarbageIsMalformed) {
  Reply reply{{""}};  // It promises a record.
  for (const std::string& bytes :
       {std::string(), std::string("\xff\xff\xff"),
        std::string("\xc0\x0c\0\1\0\1\0\0\0\1\xff\xff", 12), std::string("\xc0\xc0\xc0\xc0", 4)}) {
    reply.garbage = bytes;
    dns.set("bad.test", test::kA, reply);
    dns.set("bad.test", test::kSrv, reply);
    EXPECT_EQ(look_up("bad.test").status, LookupStatus::malformed) << bytes.size();
    EXPECT_EQ(look_up("bad.test", true).status, LookupStatus::malformed) << bytes.size();
  }
}

TEST_F(ResolverTest, SilenceAndForgeriesAreWaitedOut) {
  dns.set("silent.test", test::kA, {.silent = true});
  dns.set("silent.test", test::kSrv, {.silent = true});
  dns.set("forged.test", test::kA, {{test::a("forged.test", 60, "10.6.6.6")}, 0, false, "", true});
  EXPECT_EQ(look_up("silent.test", false, kSoonMs).status, LookupStatus::timed_out);
  EXPECT_EQ(look_up("silent.test", true, kSoonMs).status, LookupStatus::timed_out);
  EXPECT_EQ(look_up("forged.test", false, kSoonMs).status, LookupStatus::timed_out);
}

TEST_F(ResolverTest, OneFamilyFails) {
  dns.set("app.test", test::kA, {{test::a("app.test", 60, "10.0.0.7")}});
  dns.set("app.test", test::kAaaa, {.rcode = 2});
  const Answer answer = look_up("app.test");
  EXPECT_EQ(answer.status, LookupStatus::ok);
  EXPECT_THAT(ips(answer), ElementsAre("10.0.0.7"));
  EXPECT_EQ(answer.ttl_s, 60u);
  EXPECT_THAT(answer.unknown, ElementsAre(UnknownPart{"app.test", true}));
}

TEST_F(ResolverTest, AnUnspecifiedAddressIsNoServer) {
  dns.set("blocked.test", test::kA, {{test::a("blocked.test", 60, "0.0.0.0")}});
  dns.set("blocked.test", test::kAaaa, {{test::aaaa("blocked.test", 60, "::")}});
  EXPECT_EQ(look_up("blocked.test").status, LookupStatus::no_data);
}

TEST_F(ResolverTest, TheHostsFileNeedsNoNameServer) {
  dns.set("localhost", test::kA, {.silent = true});
  dns.set("localhost", test::kAaaa, {.silent = true});
  const Answer answer = look_up("localhost");
  EXPECT_EQ(answer.status, LookupStatus::ok);
  EXPECT_THAT(ips(answer), testing::Contains("127.0.0.1"));
  EXPECT_EQ(answer.ttl_s, 0u);
  EXPECT_EQ(dns.different_questions(), 0u);
}

// c-ares knows localhost without looking, so the machine's other names are tried as well: most
// have one family in the file, and the name server must not be asked for the other.
TEST_F(ResolverTest, EveryNameOfTheHostsFileNeedsNoNameServer) {
  std::ifstream hosts("/etc/hosts");
  for (std::string line; std::getline(hosts, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string ip;
    std::string name;
    words >> ip >> name;
    if (name.empty() || !Address::ip(ip, 0)) continue;
    (void)look_up(name);
  }
  EXPECT_EQ(dns.different_questions(), 0u);
}

TEST_F(ResolverTest, NobodyToAsk) {
  Resolver resolver(kNeverMs);
  resolver.ask({"app.test", false, "not an address"});
  EXPECT_EQ(next(resolver).status, LookupStatus::server_failure);
}

TEST_F(ResolverTest, ANameThatCannotBeAskedFor) {
  const Answer answer = look_up(std::string(64, 'a') + ".test");
  EXPECT_EQ(answer.status, LookupStatus::malformed);
}

TEST_F(ResolverTest, AllOfManyAreAnswered) {
  Resolver resolver(kNeverMs);
  constexpr int kMany = 50;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test";
    dns.set(name, test::kA, {{test::a(name, 60, "10.0.0." + std::to_string(i + 1))}});
    resolver.ask({name, false, dns.address()});
  }
  std::vector<std::string> all;
  for (int i = 0; i < kMany; ++i) {
    const Answer answer = next(resolver);
    ASSERT_EQ(answer.status, LookupStatus::ok);
    all.push_back(answer.question.name + " " + ips(answer)[0]);
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_THAT(all, testing::Contains("n49.test 10.0.0.50"));
  EXPECT_FALSE(resolver.next_answer());
}

// The test would take minutes if the end waited for answers.
TEST_F(ResolverTest, FewAtOnceAndAnEndThatWaitsForNobody) {
  constexpr std::size_t kQuestions = 2 * Resolver::kLookupsMax;  // One per family.
  {
    Resolver resolver(kNeverMs);
    for (std::size_t i = 0; i < 2 * Resolver::kLookupsMax; ++i) {
      const std::string name = "n" + std::to_string(i) + ".test";
      dns.set(name, test::kA, {.silent = true});
      dns.set(name, test::kAaaa, {.silent = true});
      resolver.ask({name, false, dns.address()});
    }
    EXPECT_TRUE(test::eventually([&] { return dns.different_questions() >= kQuestions; }));
    EXPECT_FALSE(resolver.next_answer());
  }
  // What was sent before this question has been counted when it is answered.
  EXPECT_EQ(look_up("last.test").status, LookupStatus::no_such_name);
  EXPECT_EQ(dns.different_questions(), kQuestions + 2);
}

}  // namespace
}  // namespace weir::os
