// How much of an answer is received at first, which goes by the answer before it.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "exchange_world.h"
#include "proxy/body_flow.h"
#include "upstream/server_connection.h"

namespace weir::proxy {
namespace {

using test::kGet;
using test::kOk;
using test::Peer;

std::string answer_of(std::size_t bytes, char fill) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
         std::string(bytes, fill);
}

class FirstReceive : public test::ExchangeWorld {
 protected:
  FirstReceive() : ExchangeWorld(1) {}

  void SetUp() override {
    start();
    client = rig->client();
  }
  // One request with this answer; how much is received at first of the next.
  std::size_t after(const std::string& text) {
    client->send(kGet);
    answer(asked(), text);
    EXPECT_FALSE(answer_to(*client, text.substr(text.find("\r\n\r\n"))).empty());
    return next();
  }
  // Of data, that the client got.
  unsigned segments() {
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(::getsockopt(client->fd().get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_data_segs_in;
  }
  std::size_t next() {
    std::size_t found = 0;
    rig->worker().loop().for_each_watched([&](loop::Source& source) {
      if (source.kind() != loop::SourceKind::upstream) return;
      found = static_cast<upstream::ServerConnection&>(source).first_receive();
    });
    return found;
  }

  const std::string small{kOk};
  const std::string large = answer_of(100'000, 'x');
  std::unique_ptr<Peer> client;
};

TEST_F(FirstReceive, BehindASmallAnswerAllThereIs) {
  EXPECT_EQ(after(small), net::kBlockBytes);
  EXPECT_EQ(after(answer_of(BodyFlow::kSpliceBytesMin - 1, 'y')), net::kBlockBytes);
}

TEST_F(FirstReceive, BehindALargeOneItsHead) {
  const std::size_t head = large.find("\r\n\r\n") + 4;
  const std::size_t first = after(large);
  // What a segment of the loopback cannot hold of 64 KiB leaves with the head.
  EXPECT_GE(first, head + 65'536 - 65'483);
  EXPECT_LE(first, head + 160);
  EXPECT_EQ(after(large), first);
  EXPECT_EQ(after(small), net::kBlockBytes);
}

TEST_F(FirstReceive, ASmallOneBehindALargeOneLeavesInOnePiece) {
  after(large);
  const unsigned before = segments();
  after(answer_of(3'000, 'z'));
  EXPECT_EQ(segments() - before, 1u);
}

TEST_F(FirstReceive, AHeadOfAnotherLengthIsReadOn) {
  after(large);
  const std::string field = "X-Long: " + std::string(9'000, 'v') + "\r\n";
  std::string longer = large;
  longer.insert(longer.find("Content-Length"), field);
  EXPECT_GT(after(longer), 9'000u);
  EXPECT_LT(after(large), 300u);
}

// What is there is relayed, and the rest when it comes.
TEST_F(FirstReceive, ASmallOneThatIsNotThereYet) {
  const std::size_t first = after(large);
  const std::string text = answer_of(3'000, 'z');
  client->send(kGet);
  Server& server = asked();
  answer(server, text.substr(0, first));
  EXPECT_TRUE(rig->turn_until([&] { return client->has("zz"); }));
  answer(server, text.substr(first));
  EXPECT_TRUE(answer_to(*client, "zz").starts_with("HTTP/1.1 200 OK\r\n"));
  expect_nothing_left();
}

TEST_F(FirstReceive, ASmallOneThatIsCutShort) {
  const std::size_t first = after(large);
  client->send(kGet);
  Server& server = asked();
  answer(server, answer_of(3'000, 'z').substr(0, first));
  server.peer->close();
  // Whether the end is known before the head was relayed is up to the kernel.
  EXPECT_TRUE(rig->turn_until([&] { return client->has("HTTP/1.1 502 ") || client->ended(); }));
  expect_nothing_left();
}

}  // namespace
}  // namespace weir::proxy
