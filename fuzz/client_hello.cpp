// ClientHellos: one answer however the bytes are cut, nothing read outside of them, a name that is
// one; and where OpenSSL reads the hello at all, it sees the name that weir has chosen a server by.
#include "wire/client_hello.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/check.h"
#include "input.h"

namespace {

using namespace weir;
using Status = wire::ClientHelloPeek::Status;

struct Answer {
  Status status = Status::need_more;
  std::string name;  // When the status is found.

  bool operator==(const Answer&) const = default;
};

Answer peek(wire::ClientHelloPeek& state, std::string_view bytes) {
  wire::ServerName name;
  Answer answer;
  answer.status = state.parse(bytes, name);
  if (answer.status == Status::found) answer.name = name.view();
  return answer;
}

Answer peek_whole(std::string_view bytes) {
  wire::ClientHelloPeek state;
  const auto block = fuzz::exact_block(bytes);
  return peek(state, {block.get(), bytes.size()});
}

// "Need more" up to the piece that decides; from there on the same.
void check_pieces(std::string_view bytes, const fuzz::PieceSizes& sizes, const Answer& whole) {
  wire::ClientHelloPeek state;
  std::size_t size = 0;
  Answer answer;
  fuzz::feed_in_pieces(bytes, sizes, [&](std::string_view piece) {
    size += piece.size();
    const bool decided = answer.status != Status::need_more;
    const auto block = fuzz::exact_block(bytes.substr(0, size));
    answer = peek(state, {block.get(), size});
    CHECK(!decided || answer == whole);
  });
  CHECK(answer == whole);
}

void check_name(std::string_view name) {
  CHECK(name.size() <= wire::kServerNameMax);
  CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == name.npos);
  if (name.empty()) return;
  CHECK(name.front() != '.' && name.back() != '.' && name.find("..") == name.npos);
}

// --- Hellos around the bytes, whose lengths are right: what is inside is reached sooner

std::string vector16(std::string_view bytes) {
  const std::size_t size = std::min<std::size_t>(bytes.size(), 0xffff);
  std::string out = {static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
  return out.append(bytes, 0, size);
}

// `bytes` are, from 0 to 4: a connection; a message's body; its extensions; the server_name among
// them; the name alone.
std::string wrap(std::string_view bytes, unsigned depth, const fuzz::PieceSizes& sizes) {
  using namespace std::string_literals;
  std::string out(bytes);
  if (depth > 3) out = vector16("\0"s + vector16(out));
  if (depth > 2) out = "\0\0"s + vector16(out);
  if (depth > 1) out = "\3\3"s + std::string(32, 'r') + "\0\0\2\x13\1\1\0"s + vector16(out);
  if (depth == 0) return out;
  const std::string message = "\1\0"s + vector16(out);
  out.clear();
  fuzz::feed_in_pieces(message, sizes,
                       [&](std::string_view piece) { out += "\x16\3\1" + vector16(piece); });
  return out;
}

// --- The second opinion

// What the server behind would be told, if it gets as far.
struct Seen {
  bool hello = false;
  std::string name;
};

// RFC 6066 3: a list of one entry, of which OpenSSL has checked nothing yet.
std::string name_in(const unsigned char* extension, std::size_t size) {
  if (size < 5) return "(short)";
  std::string name(reinterpret_cast<const char*>(extension) + 5, size - 5);
  for (char& byte : name) byte = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
  return name;
}

int on_hello(SSL* ssl, int* /*alert*/, void* context) {
  auto* seen = static_cast<Seen*>(context);
  seen->hello = true;
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) == 1) {
    seen->name = name_in(extension, size);
  }
  return SSL_CLIENT_HELLO_ERROR;
}

Seen ask_openssl(std::string_view bytes) {
  Seen seen;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()),
                                                                  SSL_CTX_free);
  SSL_CTX_set_client_hello_cb(context.get(), on_hello, &seen);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_bio(ssl.get(), BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())),
              BIO_new(BIO_s_mem()));
  SSL_accept(ssl.get());
  return seen;
}

bool is_address(std::string_view name) {
  return name.find(':') != name.npos || name.find_first_not_of("0123456789.") == name.npos;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned depth = input.byte() % 5;
  const auto sizes = fuzz::take_piece_sizes(input);
  const std::string bytes = wrap(input.rest(), depth, sizes);

  const Answer whole = peek_whole(bytes);
  check_name(whole.name);
  check_pieces(bytes, sizes, whole);
  check_pieces(bytes, {1}, whole);

  if (whole.status != Status::found) return 0;
  const Seen seen = ask_openssl(bytes);
  CHECK(!seen.hello || seen.name == whole.name || (whole.name.empty() && is_address(seen.name)));
  return 0;
}
