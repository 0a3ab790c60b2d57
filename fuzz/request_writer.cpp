// The head that a server gets for the head of a client's request: the same request. No byte of it
// has become a line, a body or a second request; and written once more it stays as it is.
#include <array>

#include "http/upgrade.h"
#include "http/writer.h"
#include "written.h"

namespace {

using namespace weir;
using http::RequestInfo;

// Zero is the ordinary way.
http::ForwardOptions take_options(fuzz::Input& input) {
  constexpr std::string_view kAddresses[] = {"192.0.2.1", "2001:db8::1", "", "10.0.0.1"};
  const std::uint8_t bits = input.byte();
  http::ForwardOptions options;
  options.x_forwarded = (bits & 1) == 0;
  options.forwarded = (bits & 2) != 0;
  options.via = (bits & 4) != 0;
  options.trusted = (bits & 8) != 0;
  options.client_ip = kAddresses[bits >> 4 & 3];
  options.default_host = (bits & 64) == 0 ? "192.0.2.80:8080" : "";
  options.proto = (bits & 128) == 0 ? "http" : "https";
  return options;
}

std::string write(const http::HeadParser& head, const RequestInfo& info,
                  const http::ForwardOptions& options) {
  return fuzz::write_checked(head, [&](char* out, std::size_t room) {
    return http::write_request_head(out, room, head, info, options);
  });
}

// Of the fields for one connection there are those of the offer, or none.
void check_offer(const http::HeadParser& after, const http::UpgradeOffer& offer) {
  std::string lines;
  for (const http::Field& field : after.fields()) {
    if (!fuzz::kNeverPassed.contains(field.id)) continue;
    lines += std::string(after.name(field)) + ": " + std::string(after.value(field)) + "\n";
  }
  const std::string upgrade(offer.text());
  CHECK(lines == (offer.empty() ? "" : "Connection: upgrade\nUpgrade: " + upgrade + "\n"));
}

void check_same(const http::HeadParser& before, const RequestInfo& sent,
                const http::HeadParser& after, const RequestInfo& got) {
  CHECK(before.method() == after.method() && after.minor_version() == 1);
  CHECK(got.form != http::TargetForm::absolute);
  CHECK(sent.path(before) == got.path(after) && sent.query(before) == got.query(after));
  CHECK(sent.authority.size == 0 || before.view(sent.authority) == after.view(got.authority));
  CHECK(sent.body == got.body, "the body has another length");
  CHECK(sent.expects_continue == got.expects_continue);
  CHECK(got.keep_alive == (got.method != http::MethodId::connect));
  CHECK(got.port == sent.port);
  CHECK(got.max_forwards == sent.max_forwards - (sent.max_forwards > 0 ? 1 : 0));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  http::ForwardOptions options = take_options(input);
  const std::array<std::string, 2> allowed = {"websocket", "spdy"};
  const std::size_t allowed_count = input.flag() ? allowed.size() : 0;
  const fuzz::Head head(http::HeadParser::Mode::request, input.rest());
  if (!head.complete()) return 0;
  const auto info = http::analyse_request(head.parser());
  if (!info) return 0;

  const http::UpgradeOffer offer =
      http::choose_upgrades(head.parser(), *info, {allowed.data(), allowed_count});
  options.upgrade = offer.text();
  const std::string out = write(head.parser(), *info, options);
  const fuzz::Head again(http::HeadParser::Mode::request, out, fuzz::kWideLimits);
  fuzz::check_canonical(again, out.size());
  CHECK(again.parser().start_line_canonical());
  check_offer(again.parser(), offer);
  CHECK(fuzz::passed_lines(head.parser()) == fuzz::passed_lines(again.parser()));

  // Two heads that weir may write and would not take: the empty Host of an HTTP/1.0 request without
  // any, and the TRACE that has arrived at its last hop.
  if (info->authority.size == 0 && options.default_host.empty()) return 0;
  if (info->method == http::MethodId::trace && info->max_forwards == 1) return 0;
  const auto got = http::analyse_request(again.parser());
  CHECK(got.has_value(), "what was written makes no sense");
  check_same(head.parser(), *info, again.parser(), *got);
  const http::UpgradeOffer same = http::choose_upgrades(again.parser(), *got, allowed);
  CHECK(same.text() == offer.text());

  if (got->max_forwards > 0) return 0;
  http::ForwardOptions nothing;
  nothing.x_forwarded = false;
  nothing.trusted = true;
  nothing.upgrade = same.text();
  CHECK(write(again.parser(), *got, nothing) == out, "written again it is another one");
  return 0;
}
