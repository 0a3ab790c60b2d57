#include "wire/client_hello.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../http/vectors.h"

namespace weir::wire {
namespace {

using http::test::Case;
using Status = ClientHelloPeek::Status;

// --- Hellos made to measure (RFC 8446 4.1.2)

std::string number(std::size_t value, int bytes) {
  std::string out;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xff);
  }
  return out;
}

std::string vector8(const std::string& bytes) { return number(bytes.size(), 1) + bytes; }
std::string vector16(const std::string& bytes) { return number(bytes.size(), 2) + bytes; }
std::string extension(unsigned type, const std::string& body) {
  return number(type, 2) + vector16(body);
}

std::string name_entry(const std::string& host, unsigned type = 0) {
  return number(type, 1) + vector16(host);
}
std::string server_name(const std::string& host) {
  return extension(0, vector16(name_entry(host)));
}

struct Hello {
  std::string version = "\3\3";
  std::string session = std::string(32, 's');
  std::string ciphers = "\x13\1\x13\2";
  std::string compressions = std::string(1, '\0');
  std::optional<std::string> extensions;
  std::string behind;

  [[nodiscard]] std::string message() const {
    std::string body = version + std::string(32, 'r') + vector8(session) + vector16(ciphers) +
                       vector8(compressions);
    if (extensions) body += vector16(*extensions);
    body += behind;
    return '\1' + number(body.size(), 3) + body;
  }
};

// In records of `fragment` bytes.
std::string records(const std::string& message, std::size_t fragment = 1 << 14) {
  std::string out;
  for (std::size_t at = 0; at < message.size(); at += fragment) {
    out += "\x16\3\1" + vector16(message.substr(at, fragment));
  }
  return out;
}

// --- Reading

// A connection whose bytes arrive piece by piece, each time in a block of exactly their size.
class Arrival {
 public:
  explicit Arrival(const std::string& bytes) : bytes_(bytes) {}

  // The status and, when it is found, the name, now that the first `size` bytes are there.
  std::string show(std::size_t size) {
    const auto block = std::make_unique<char[]>(size);
    bytes_.copy(block.get(), size);
    ServerName name;
    const Status status = peek_.parse({block.get(), size}, name);
    std::string out(to_string(status));
    if (status == Status::found && name.size != 0) out += " " + std::string(name.view());
    return out;
  }

 private:
  const std::string& bytes_;
  ClientHelloPeek peek_;
};

// Whole, cut in two, byte by byte, and shown again: one answer. With the number of bytes that
// decided it, unless there is none yet.
std::string read(const std::string& bytes) {
  const std::string whole = Arrival(bytes).show(bytes.size());
  Arrival one_by_one(bytes);
  std::size_t decided_at = 0;
  while (one_by_one.show(decided_at) == "need_more" && decided_at < bytes.size()) ++decided_at;
  for (std::size_t size = decided_at; size <= bytes.size(); ++size) {
    EXPECT_EQ(one_by_one.show(size), whole) << "byte by byte, " << size;
  }
  for (std::size_t cut = 0; cut < bytes.size(); cut += bytes.size() < 2000 ? 1 : 61) {
    Arrival in_two(bytes);
    EXPECT_EQ(in_two.show(cut), cut < decided_at ? "need_more" : whole) << "cut at " << cut;
    EXPECT_EQ(in_two.show(bytes.size()), whole) << "cut at " << cut;
  }
  return whole == "need_more" ? whole : whole + " at " + std::to_string(decided_at);
}

std::string read_answer(const std::string& bytes) {
  const std::string out = read(bytes);
  return out.substr(0, out.find(" at "));
}

std::string read_hello(const Hello& hello) { return read_answer(records(hello.message())); }

std::string read_extensions(const std::string& extensions) {
  Hello hello;
  hello.extensions = extensions;
  return read_hello(hello);
}

std::string read_name(const std::string& host) { return read_extensions(server_name(host)); }

TEST(ClientHello, Vectors) {
  const auto cases = http::test::read_cases("../wire/client_hellos.txt");
  EXPECT_GE(cases.size(), 20U);
  for (const Case& vector : cases) {
    SCOPED_TRACE(vector.where + ": " + vector.name);
    ASSERT_EQ(vector.expected.size(), 1U);
    EXPECT_EQ(read(vector.in), vector.expected[0]);
  }
}

TEST(ClientHello, NameAmongOtherExtensions) {
  const std::string others = extension(0x0a0a, "") + extension(16, vector16(vector8("h2")));
  EXPECT_EQ(read_extensions(others + server_name("a.example") + others), "found a.example");
  EXPECT_EQ(read_extensions(others), "found");
  EXPECT_EQ(read_extensions(""), "found");
  EXPECT_EQ(read_hello({}), "found") << "no extensions at all";
}

// A hello of today has a post-quantum key share of some 1200 bytes, often ahead of the name.
TEST(ClientHello, LargeOne) {
  Hello hello;
  hello.extensions = extension(51, std::string(1220, 'k')) + server_name("large.example");
  EXPECT_EQ(read_hello(hello), "found large.example");
  hello.extensions->append(extension(41, std::string(14000, 't')));
  EXPECT_EQ(read_hello(hello), "found large.example");
  hello.extensions->append(extension(21, std::string(2000, '\0')));
  EXPECT_EQ(read_hello(hello), "too_large");
}

TEST(ClientHello, InFragments) {
  Hello hello;
  hello.extensions = server_name("fragment.example") + extension(21, std::string(500, '\0'));
  const std::string message = hello.message();
  for (const std::size_t fragment : {1, 2, 3, 4, 5, 100, 255, 256, 257, 500}) {
    SCOPED_TRACE(fragment);
    const std::string bytes = records(message, fragment);
    EXPECT_EQ(read(bytes), "found fragment.example at " + std::to_string(bytes.size()));
    EXPECT_EQ(read_answer(bytes + "\x14\3\3\0\1\1 and more"), "found fragment.example");
  }
}

TEST(ClientHelloDeathTest, BytesAreNeverTakenAway) {
  const std::string bytes = records(Hello{}.message());
  Arrival arrival(bytes);
  EXPECT_EQ(arrival.show(20), "need_more");
  EXPECT_DEATH(arrival.show(19), "fewer bytes than before");
}

TEST(ClientHello, FragmentsThatEndTooLate) {
  Hello hello;
  hello.extensions = extension(21, std::string(2800, '\0'));
  EXPECT_EQ(read_answer(records(hello.message(), 2)), "found");
  EXPECT_EQ(read_answer(records(hello.message(), 1)), "too_large");
}

// Two fragments of which the second is of no length, or too long.
TEST(ClientHello, MalformedSecondRecord) {
  const std::string first = records(Hello{}.message().substr(0, 10));
  EXPECT_EQ(read_answer(first + std::string("\x16\3\1\0\0", 5)), "malformed");
  EXPECT_EQ(read_answer(first + "\x16\3\1\x40\1"), "malformed");
  EXPECT_EQ(read_answer(first + "\x17\3\3"), "malformed");
}

TEST(ClientHello, MessageAndRecordMayShareTheirEndOrNot) {
  Hello hello;
  hello.extensions = server_name("a.example");
  EXPECT_EQ(read_answer(records(hello.message() + "\x18more")), "found a.example");
  // What follows in the last record of several may be more than a hello can be.
  const std::string message = hello.message();
  std::string last = message.substr(40);
  last.resize(1 << 14, 'x');
  EXPECT_EQ(read_answer(records(message.substr(0, 40)) + records(last)), "found a.example");
  hello.behind = "x";
  EXPECT_EQ(read_hello(hello), "malformed") << "bytes behind the extensions";
}

TEST(ClientHello, MalformedFields) {
  const auto with = [](auto change) {
    Hello hello;
    hello.extensions = server_name("a.example");
    change(hello);
    return read_hello(hello);
  };
  EXPECT_EQ(with([](Hello&) {}), "found a.example");
  EXPECT_EQ(with([](Hello& hello) { hello.version = "\xfe\xfd"; }), "malformed") << "DTLS";
  EXPECT_EQ(with([](Hello& hello) { hello.session = ""; }), "found a.example");
  EXPECT_EQ(with([](Hello& hello) { hello.session += 's'; }), "malformed");
  EXPECT_EQ(with([](Hello& hello) { hello.ciphers = ""; }), "malformed");
  EXPECT_EQ(with([](Hello& hello) { hello.ciphers += 'c'; }), "malformed");
  EXPECT_EQ(with([](Hello& hello) { hello.compressions = ""; }), "malformed");
  EXPECT_EQ(with([](Hello& hello) { *hello.extensions += "\1"; }), "malformed");
  EXPECT_EQ(with([](Hello& hello) { *hello.extensions += std::string("\1\1\0\1", 4); }),
            "malformed");
}

// Each field cut short: the message ends before what its lengths promise.
TEST(ClientHello, CutShort) {
  Hello hello;
  hello.extensions = server_name("a.example");
  const std::string body = hello.message().substr(4);
  const std::size_t without_extensions = Hello{}.message().size() - 4;
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::string message = '\1' + number(size, 3) + body.substr(0, size);
    EXPECT_EQ(read_answer(records(message)), size == without_extensions ? "found" : "malformed")
        << size;
  }
}

// RFC 6066 3.
TEST(ClientHello, MalformedServerNames) {
  const std::string good = name_entry("a.example");
  EXPECT_EQ(read_extensions(extension(0, vector16(good))), "found a.example");
  EXPECT_EQ(read_extensions(extension(0, "")), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(""))), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(good) + "x")), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(good + "x"))), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(good + name_entry("b.example")))), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(name_entry("a.example", 1)))), "malformed");
  EXPECT_EQ(read_extensions(extension(0, vector16(std::string("\0\0\x0a", 3) + "a.example"))),
            "malformed");
  EXPECT_EQ(read_extensions(server_name("a.example") + server_name("b.example")), "malformed");
  EXPECT_EQ(read_extensions(server_name("a.example") + server_name("a.example")), "malformed");
}

TEST(ClientHello, Names) {
  EXPECT_EQ(read_name("A-1.Example.COM"), "found a-1.example.com");
  EXPECT_EQ(read_name("localhost"), "found localhost");
  EXPECT_EQ(read_name("_dmarc.x--y-.example"), "found _dmarc.x--y-.example");
  EXPECT_EQ(read_name("xn--bcher-kva.example"), "found xn--bcher-kva.example");
  EXPECT_EQ(read_name("1.2.3"), "found 1.2.3");
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".a"), std::string("a."), std::string("a..b"),
        std::string("a b"), std::string("a\0b", 3), std::string("*.a"), std::string("a:443"),
        std::string("a/b"), std::string("b\xc3\xbc"), std::string("[::1]"), std::string("a\n"),
        std::string("a@b")}) {
    EXPECT_EQ(read_name(bad), "malformed") << bad;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const bool allowed = byte < 128 && (std::isalnum(byte) != 0 || byte == '-' || byte == '_');
    const std::string name = std::string("x") + static_cast<char>(byte) + "x";
    EXPECT_EQ(read_name(name).starts_with("found x"), allowed || byte == '.') << byte;
  }
}

TEST(ClientHello, LongNames) {
  const std::string label(63, 'a');
  EXPECT_EQ(read_name(label), "found " + label);
  EXPECT_EQ(read_name(label + "a"), "malformed");
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  ASSERT_EQ(longest.size(), kServerNameMax);
  EXPECT_EQ(read_name(longest), "found " + longest);
  EXPECT_EQ(read_name(longest + "a"), "malformed");
  EXPECT_EQ(read_name(std::string(300, 'a')), "malformed");
}

TEST(ClientHello, AddressesAreNoNames) {
  EXPECT_EQ(read_name("192.0.2.1"), "found");
  EXPECT_EQ(read_name("::1"), "found");
  EXPECT_EQ(read_name("2001:db8::192.0.2.1"), "found");
  EXPECT_EQ(read_name("192.0.2.1.example"), "found 192.0.2.1.example");
}

}  // namespace
}  // namespace weir::wire
