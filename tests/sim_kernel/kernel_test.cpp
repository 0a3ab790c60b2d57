// What the real kernel cannot show in a transcript: time, fibers, distance, scripted peers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "echo.h"
#include "sim/kernel/memory.h"

namespace weir::sim::test {
namespace {

using os::IoStatus;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000 * kMs;

// Writes down what it is told.
class Script final : public EndpointEvents {
 public:
  void connected() override { told.push_back("connected"); }
  void failed(IoStatus why) override { told.push_back(os::to_string(why)); }
  void readable() override { told.push_back("readable"); }
  void writable() override { told.push_back("writable"); }
  void ended() override { told.push_back("ended"); }
  void reset() override { told.push_back("reset"); }

  Endpoint endpoint;
  std::vector<std::string> told;
};

os::Event only_event(const os::Fd& epoll, int timeout_ms) {
  std::array<os::Event, 4> events;
  return os::epoll_wait(epoll, events, timeout_ms) == 1 ? events[0] : os::Event{};
}

void run_for(Kernel& kernel, std::uint64_t ns) {
  bool over = false;
  kernel.after(ns, [&] { over = true; });
  while (!over && kernel.step()) continue;
}

TEST(SimKernel, AWaitTakesVirtualTimeOnly) {
  Kernel kernel(1);
  const std::uint64_t begin_ns = kernel.now_ns();
  kernel.spawn("sleeper", [] {
    const os::Fd epoll = os::epoll_create();
    EXPECT_EQ(only_event(epoll, 3'600'000).flags, 0);
  });
  run_to_end(kernel);
  EXPECT_EQ(kernel.fibers(), 0u);
  EXPECT_GE(kernel.now_ns() - begin_ns, 3'600 * kSecond);
  EXPECT_LT(kernel.now_ns() - begin_ns, 3'601 * kSecond);
}

TEST(SimKernel, OneFiberWakesAnother) {
  Kernel kernel(1);
  os::Fd wakeup = os::wakeup_create();
  std::vector<std::string> order;
  kernel.spawn("sleeper", [&] {
    const os::Fd epoll = os::epoll_create();
    EXPECT_TRUE(os::epoll_add(epoll, wakeup, 5, os::kReadable, os::Mode::level));
    EXPECT_EQ(only_event(epoll, -1).data, 5u);
    order.emplace_back(kernel.running());
  });
  kernel.spawn("waker", [&] {
    const os::Fd epoll = os::epoll_create();
    (void)only_event(epoll, 10);
    order.emplace_back(kernel.running());
    os::wakeup_notify(wakeup);
  });
  run_to_end(kernel);
  EXPECT_THAT(order, ElementsAre("waker", "sleeper"));
}

TEST(SimKernel, AFullBacklogDropsTheSynWhichIsSentAgain) {
  Kernel kernel(1);
  kernel.conditions().latency_ns = {kMs, kMs};
  const os::Fd listener = std::move(os::listen_on(address(80), os::Share::first, 1).fd);
  std::array<Script, 3> clients;
  for (Script& client : clients) {
    client.endpoint = Endpoint::connect(kernel, address(80), client);
    run_for(kernel, 10 * kMs);
  }
  EXPECT_THAT(clients[1].told, ElementsAre("connected"));
  EXPECT_TRUE(clients[2].told.empty());
  os::Peer peer;
  EXPECT_EQ(os::accept_from(listener, peer).status, IoStatus::done);
  const std::uint64_t begin_ns = kernel.now_ns();
  while (clients[2].told.empty() && kernel.step()) continue;
  EXPECT_THAT(clients[2].told, ElementsAre("connected"));
  EXPECT_LT(kernel.now_ns() - begin_ns, 2 * kSecond);
}

TEST(SimKernel, AListenerAnswersAsItsScriptSays) {
  using Answer = Listener::Answer;
  Kernel kernel(1);
  std::vector<Endpoint> accepted;
  Listener listener(kernel, address(90), [&](Endpoint e) { accepted.push_back(std::move(e)); });
  const auto attempt = [&](Answer answer) {
    listener.answer(answer);
    const os::SocketResult client = os::connect_to(address(90));
    EXPECT_EQ(client.status, IoStatus::again);
    const std::uint64_t begin_ns = kernel.now_ns();
    run_to_end(kernel);
    EXPECT_EQ(kernel.now_ns() - begin_ns > 100 * kSecond, answer == Answer::ignore);
    return os::connect_outcome(client.fd);
  };
  EXPECT_EQ(attempt(Answer::refuse), IoStatus::refused);
  EXPECT_EQ(attempt(Answer::unreachable), IoStatus::unreachable);
  EXPECT_EQ(attempt(Answer::ignore), IoStatus::timed_out);
  EXPECT_EQ(attempt(Answer::hold), IoStatus::done);
  EXPECT_EQ(listener.waiting(), 1u);
  EXPECT_TRUE(accepted.empty());
  EXPECT_EQ(attempt(Answer::accept), IoStatus::done);
  EXPECT_EQ(accepted.size(), 2u);
}

TEST(SimKernel, AnEndpointIsToldOfWhatCameBeforeItWasAttached) {
  Kernel kernel(1);
  Script server;
  Listener listener(kernel, address(90), [&](Endpoint e) { server.endpoint = std::move(e); });
  {
    const os::SocketResult client = os::connect_to(address(90));
    while (!server.endpoint.valid() && kernel.step()) continue;
    (void)os::send(client.fd, "early");
  }
  run_to_end(kernel);
  EXPECT_TRUE(server.told.empty());
  server.endpoint.attach(server);
  run_to_end(kernel);
  EXPECT_THAT(server.told, ElementsAre("readable", "ended"));
}

TEST(SimKernel, AReaderThatDoesNotReadStopsTheSender) {
  Kernel kernel(1);
  kernel.conditions().send_buffer_bytes = {8'000, 8'000};
  Script server;
  Listener listener(kernel, address(90),
                    [&](Endpoint e) {
                      server.endpoint = std::move(e);
                      server.endpoint.attach(server);
                    },
                    {.receive_window = 3'000});
  const os::SocketResult client = os::connect_to(address(90));
  run_to_end(kernel);
  const std::string block(100'000, 'x');
  std::size_t taken = 0;
  for (int i = 0; i < 5; ++i) {
    taken += os::send(client.fd, block).bytes;
    run_to_end(kernel);
  }
  EXPECT_EQ(taken, 11'000u);  // One window and one buffer.
  EXPECT_EQ(server.endpoint.unread(), 3'000u);
  std::array<char, 2'000> buffer;
  EXPECT_EQ(server.endpoint.receive(buffer.data(), buffer.size()).bytes, 2'000u);
  run_to_end(kernel);
  EXPECT_EQ(os::send(client.fd, block).bytes, 2'000u);
}

TEST(SimKernel, HandshakesCanBeRefusedBeforeAListenerCloses) {
  Kernel kernel(1);
  kernel.conditions().latency_ns = {kMs, kMs};
  os::Fd first = std::move(os::listen_on(address(80), os::Share::first, 8).fd);
  Script under_way;
  under_way.endpoint = Endpoint::connect(kernel, address(80), under_way);
  while (under_way.told.empty() && kernel.step()) continue;
  os::refuse_handshakes(first);
  Script late;
  late.endpoint = Endpoint::connect(kernel, address(80), late);
  kernel.at(kernel.now_ns() + 10 * kMs, [&] {
    os::Peer peer;
    EXPECT_EQ(os::accept_from(first, peer).status, IoStatus::done);
    EXPECT_EQ(os::accept_from(first, peer).status, IoStatus::again);
    first = std::move(os::listen_on(address(80), os::Share::another, 8).fd);
  });
  run_to_end(kernel);
  EXPECT_THAT(late.told, ElementsAre("connected"));  // By the listener that came after.
}

TEST(SimKernel, SharedListenersGetTheirPart) {
  Kernel kernel(1);
  const os::Fd one = std::move(os::listen_on(address(80), os::Share::first, 99).fd);
  const os::Fd two = std::move(os::listen_on(address(80), os::Share::another, 99).fd);
  std::array<Script, 60> clients;
  for (Script& client : clients) client.endpoint = Endpoint::connect(kernel, address(80), client);
  run_to_end(kernel);
  const auto count = [](const os::Fd& listener) {
    std::size_t accepted = 0;
    os::Peer peer;
    while (os::accept_from(listener, peer).status == IoStatus::done) ++accepted;
    return accepted;
  };
  const std::size_t of_one = count(one);
  EXPECT_GT(of_one, 15u);
  EXPECT_EQ(of_one + count(two), 60u);
}

TEST(SimKernel, BytesHeldBackAreToldAgain) {
  Kernel kernel(1);
  const os::Fd listener = std::move(os::listen_on(address(80), os::Share::first, 8).fd);
  Script client;
  client.endpoint = Endpoint::connect(kernel, address(80), client);
  run_to_end(kernel);
  os::Peer peer;
  const os::Fd fd = std::move(os::accept_from(listener, peer).fd);
  const os::Fd epoll = os::epoll_create();
  EXPECT_TRUE(os::epoll_add(epoll, fd, 1, os::kReadable, os::Mode::edge));
  EXPECT_EQ(client.endpoint.send("0123456789"), 10u);
  run_to_end(kernel);
  EXPECT_EQ(only_event(epoll, 0).flags, os::kReadable);
  std::array<char, 64> buffer;
  kernel.faults().set(Fault::receive_short, 1);
  EXPECT_LT(os::receive(fd, buffer.data(), buffer.size()).bytes, 10u);
  EXPECT_EQ(os::receive(fd, buffer.data(), buffer.size()).status, IoStatus::again);
  kernel.faults() = {};
  run_to_end(kernel);
  EXPECT_EQ(only_event(epoll, 0).flags, os::kReadable);
  EXPECT_EQ(os::receive(fd, buffer.data(), buffer.size()).status, IoStatus::done);
}

// As Transfer.ASpliceTakesTheReasonAway has it on Linux.
TEST(SimKernel, AResetAmidASpliceLosesItsReason) {
  Kernel kernel(1);
  const os::Fd listener = std::move(os::listen_on(address(80), os::Share::first, 8).fd);
  Script client;
  client.endpoint = Endpoint::connect(kernel, address(80), client);
  run_to_end(kernel);
  os::Peer peer;
  const os::Fd fd = std::move(os::accept_from(listener, peer).fd);
  const os::PipeResult pipe = os::make_pipe();
  kernel.faults().set(Fault::memory_apart, 1);
  const std::string text(3 * kPageBytes, 'x');
  EXPECT_EQ(client.endpoint.send(text), text.size());
  run_to_end(kernel);
  EXPECT_EQ(os::splice_bytes(fd, pipe.write_end, text.size()).bytes, text.size());
  kernel.faults() = {};
  kernel.faults().set(Fault::reset_in_splice, 1);
  const os::IoResult spliced = os::splice_bytes(pipe.read_end, fd, text.size());
  EXPECT_EQ(spliced.status, IoStatus::done);
  EXPECT_LT(spliced.bytes, text.size());
  EXPECT_EQ(os::splice_bytes(pipe.read_end, fd, text.size()).status, IoStatus::broken_pipe);
  char byte;
  EXPECT_EQ(os::receive(fd, &byte, 1).status, IoStatus::end) << "though it was none";
  EXPECT_TRUE(kernel.killed_by_fault(client.endpoint.connection()));
}

TEST(SimKernel, TheAcknowledgementOfAFinIsAnEdge) {
  Kernel kernel(1);
  kernel.conditions().latency_ns = {kMs, kMs};
  const os::Fd listener = std::move(os::listen_on(address(80), os::Share::first, 8).fd);
  Script client;
  client.endpoint = Endpoint::connect(kernel, address(80), client);
  run_to_end(kernel);
  os::Peer peer;
  const os::Fd fd = std::move(os::accept_from(listener, peer).fd);
  const os::Fd epoll = os::epoll_create();
  EXPECT_TRUE(os::epoll_add(epoll, fd, 1, os::kReadable | os::kWritable, os::Mode::edge));
  EXPECT_EQ(only_event(epoll, 0).flags, os::kWritable);
  os::shutdown_send(fd);
  EXPECT_EQ(only_event(epoll, 0).flags, os::kWritable);
  run_to_end(kernel);
  EXPECT_EQ(only_event(epoll, 0).flags, os::kWritable);
  EXPECT_EQ(only_event(epoll, 0).flags, 0);
}

TEST(SimKernel, WhatIsLeftHasAName) {
  Kernel kernel(1);
  const os::PipeResult pipe = os::make_pipe();
  const os::Fd epoll = os::epoll_create();
  EXPECT_THAT(kernel.open_descriptors(),
              ElementsAre(HasSubstr("read end of a pipe with 0 bytes, made by world"),
                          HasSubstr("write end of a pipe"), HasSubstr("epoll watching 0")));
}

TEST(SimKernelDeathTest, AClosedDescriptorEndsTheRun) {
  EXPECT_DEATH(
      {
        Kernel kernel(1);
        os::Fd copy(os::wakeup_create().get());
        os::wakeup_notify(copy);
      },
      "wakeup_notify of descriptor 0, which is not open");
}

TEST(SimKernel, TheTraceCanBeRead) {
  Kernel kernel(1);
  kernel.trace("the world says", 1, 2);
  const os::Fd wakeup = os::wakeup_create();
  EXPECT_THAT(kernel.last_lines(), ElementsAre(HasSubstr("world the world says 1 2"),
                                               HasSubstr("world wakeup_create -> done")));
}

}  // namespace
}  // namespace weir::sim::test
