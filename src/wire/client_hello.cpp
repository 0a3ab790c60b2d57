#include "wire/client_hello.h"

#include <algorithm>

#include "base/check.h"
#include "wire/ip_text.h"

namespace weir::wire {
namespace {

constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kRecordMax = 1 << 14;  // RFC 8446 5.1, before encryption.
constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::size_t kMessageHeader = 4;  // Type and a length of three bytes.
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kMajorVersion = 3;  // SSL 3.0 and all of TLS.
constexpr std::uint16_t kServerNameExtension = 0;
constexpr std::uint8_t kHostName = 0;

// The presentation language of RFC 8446 3: numbers, and vectors behind their length. After a read
// past the end it is not ok() and gives zeros and nothing.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  // All was read, and nothing is left over.
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }

  std::string_view bytes(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::uint8_t number8() {
    const std::string_view taken = bytes(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken[0]);
  }
  std::uint16_t number16() {
    const unsigned high = number8();
    return static_cast<std::uint16_t>(high << 8 | number8());
  }
  std::string_view vector8() { return bytes(number8()); }
  std::string_view vector16() { return bytes(number16()); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool is_name_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

// Underscores are in use, though not in host names proper. RFC 6066 3: no dot at the end.
bool read_host_name(std::string_view host, ServerName& name) {
  if (parse_ipv4(host) || parse_ipv6(host)) return true;
  if (host.size() > kServerNameMax) return false;
  std::size_t label = 0;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char byte =
        host[i] >= 'A' && host[i] <= 'Z' ? static_cast<char>(host[i] | 0x20) : host[i];
    if (byte == '.' ? label == 0 : !is_name_byte(byte)) return false;
    label = byte == '.' ? 0 : label + 1;
    if (label > 63) return false;
    name.text[i] = byte;
  }
  name.size = static_cast<std::uint8_t>(host.size());
  return label != 0;
}

// RFC 6066 3: one name of each type, and no type but host_name was ever defined; servers refuse a
// list that holds anything else.
bool read_server_name(std::string_view body, ServerName& name) {
  Reader outer(body);
  Reader list(outer.vector16());
  const std::uint8_t type = list.number8();
  const std::string_view host = list.vector16();
  return outer.at_end() && list.at_end() && type == kHostName && read_host_name(host, name);
}

// RFC 8446 4.2: no type of extension twice. Only the one that is read is looked at.
bool read_extensions(std::string_view bytes, ServerName& name) {
  Reader extensions(bytes);
  bool named = false;
  while (!extensions.empty()) {
    const std::uint16_t type = extensions.number16();
    const std::string_view body = extensions.vector16();
    if (type != kServerNameExtension) continue;
    if (named || !read_server_name(body, name)) return false;
    named = true;
  }
  return extensions.ok();
}

// RFC 8446 4.1.2. `message` is the whole one, its header included.
bool read_hello(std::string_view message, ServerName& name) {
  name.size = 0;
  Reader hello(message.substr(kMessageHeader));
  const std::uint16_t version = hello.number16();
  hello.bytes(32);  // Random.
  const std::string_view session = hello.vector8();
  const std::string_view ciphers = hello.vector16();
  const std::string_view compressions = hello.vector8();
  if (!hello.ok() || version >> 8 != kMajorVersion || session.size() > 32) return false;
  if (ciphers.empty() || ciphers.size() % 2 != 0 || compressions.empty()) return false;
  if (hello.empty()) return true;  // Before TLS 1.3 there may be no extensions at all.
  const std::string_view extensions = hello.vector16();
  return hello.at_end() && read_extensions(extensions, name);
}

std::size_t record_size(std::string_view record) { return Reader(record.substr(3)).number16(); }

// The message of `size` bytes from records that walk() has seen. `scratch` has room for it.
std::string_view join_records(std::string_view data, std::size_t size, char* scratch) {
  if (record_size(data) >= size) return data.substr(kRecordHeader, size);
  std::size_t joined = 0;
  while (joined < size) {
    const std::size_t fragment = std::min(record_size(data), size - joined);
    data.copy(scratch + joined, fragment, kRecordHeader);
    joined += fragment;
    data.remove_prefix(kRecordHeader + fragment);
  }
  return {scratch, size};
}

}  // namespace

ClientHelloPeek::Status ClientHelloPeek::parse(std::string_view data, ServerName& name) {
  const Status status = walk(data);
  if (status != Status::found) return status;
  char scratch[kClientHelloMax];
  return read_hello(join_records(data, size_, scratch), name) ? Status::found : Status::malformed;
}

// Up to the end of the message; `found` when it is there. Looks at each byte but once, and goes on
// from where it stopped.
ClientHelloPeek::Status ClientHelloPeek::walk(std::string_view data) {
  CHECK(at_ <= data.size(), "fewer bytes than before");
  while (seen_ < kMessageHeader || seen_ < size_) {
    if (record_left_ == 0) {
      if (const Verdict verdict = begin_record(data.substr(at_))) return *verdict;
    }
    if (at_ == data.size()) return Status::need_more;
    std::size_t count = 1;
    if (seen_ < kMessageHeader) {
      const auto byte = static_cast<std::uint8_t>(data[at_]);
      if (const Verdict verdict = take_header_byte(byte)) return *verdict;
    } else {
      count = std::min<std::size_t>({record_left_, data.size() - at_, size_ - seen_});
    }
    at_ += static_cast<std::uint32_t>(count);
    seen_ += static_cast<std::uint32_t>(count);
    record_left_ -= static_cast<std::uint32_t>(count);
  }
  return Status::found;
}

// `record` begins with a record's header. Another protocol is told by its first byte or two, so
// that it need not send more. RFC 8446 5.1: within a message there is no record of another type,
// and none without content.
ClientHelloPeek::Verdict ClientHelloPeek::begin_record(std::string_view record) {
  const Status other = at_ == 0 ? Status::not_tls : Status::malformed;
  if (!record.empty() && record[0] != kHandshakeRecord) return other;
  if (record.size() > 1 && record[1] != kMajorVersion) return other;
  if (record.size() < kRecordHeader) return Status::need_more;
  const std::size_t size = record_size(record);
  if (size == 0 || size > kRecordMax) return Status::malformed;
  if (is_too_large(kRecordHeader, size_)) return Status::too_large;
  at_ += kRecordHeader;
  record_left_ = static_cast<std::uint32_t>(size);
  return {};
}

ClientHelloPeek::Verdict ClientHelloPeek::take_header_byte(std::uint8_t byte) {
  if (seen_ == 0) return byte == kClientHello ? Verdict{} : Status::malformed;
  std::uint32_t size = size_ << 8 | byte;
  if (seen_ + 1 == kMessageHeader) {
    size += kMessageHeader;
    if (is_too_large(0, size)) return Status::too_large;
  }
  size_ = size;
  return {};
}

// Whether what is missing of a message of `size` bytes, and `overhead` before it, ends too late.
bool ClientHelloPeek::is_too_large(std::size_t overhead, std::size_t size) const {
  return at_ + overhead + std::max<std::size_t>(size, seen_) - seen_ > kClientHelloMax;
}

std::string_view to_string(ClientHelloPeek::Status status) {
  using enum ClientHelloPeek::Status;
  switch (status) {
    case need_more: return "need_more";
    case found: return "found";
    case not_tls: return "not_tls";
    case malformed: return "malformed";
    case too_large: return "too_large";
  }
  CHECK(false, "no such status");
}

}  // namespace weir::wire
