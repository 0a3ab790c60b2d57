// Trailers on their way through: all that are nobody's business but the receiver's, in order and
// canonical, and nothing that means something in a head (RFC 9110 6.5.1).
#include "http/writer.h"

#include "written.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  using http::HeadParser;
  const fuzz::Input input(data, size);
  const fuzz::Head trailers(HeadParser::Mode::trailers, input.rest());
  if (!trailers.complete()) return 0;
  const auto write = [](const HeadParser& parser) {
    return fuzz::write_checked(parser, [&](char* out, std::size_t room) {
      return http::write_trailers(out, room, parser);
    });
  };
  const std::string out = write(trailers.parser());
  const fuzz::Head again(HeadParser::Mode::trailers, out, fuzz::kWideLimits);
  fuzz::check_canonical(again, out.size());

  std::string expected;
  for (const http::Field& field : trailers.parser().fields()) {
    if (field.id != http::FieldId::other) continue;
    const std::string_view value = trailers.parser().value(field);
    expected.append(trailers.parser().name(field)).append(value.empty() ? ":" : ": ");
    expected.append(value).append("\r\n");
  }
  CHECK(out == expected + "\r\n");
  CHECK(write(again.parser()) == out, "written again they are others");
  return 0;
}
