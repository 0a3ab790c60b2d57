// A second opinion: what weir accepts, llhttp in strict mode accepts too, with the same method,
// target, status and body. (The other way round is not wanted: weir is the stricter one.)
#include <gtest/gtest.h>

#ifdef WEIR_HAS_LLHTTP

#include <llhttp.h>
#include <rapidcheck.h>

#include "generator.h"
#include "http/status.h"
#include "transcript.h"
#include "vectors.h"

namespace weir::http::test {
namespace {

constexpr int kMessagesPerRound = 50;

struct Opinion {
  llhttp_errno_t error = HPE_OK;
  std::string start;  // "GET /target" or "200".
  std::string body;
  bool complete = false;
};

class Oracle {
 public:
  explicit Oracle(HeadParser::Mode mode) {
    llhttp_settings_init(&settings_);
    settings_.on_url = [](llhttp_t* parser, const char* at, size_t size) {
      self(parser).target_.append(at, size);
      return 0;
    };
    settings_.on_headers_complete = [](llhttp_t* parser) { return self(parser).end_head(parser); };
    settings_.on_body = [](llhttp_t* parser, const char* at, size_t size) {
      self(parser).opinion_.body.append(at, size);
      return 0;
    };
    settings_.on_message_complete = [](llhttp_t* parser) {
      self(parser).opinion_.complete = true;
      return 0;
    };
    llhttp_init(&parser_, mode == HeadParser::Mode::request ? HTTP_REQUEST : HTTP_RESPONSE,
                &settings_);
    parser_.data = this;
  }

  Opinion judge(std::string_view wire) {
    opinion_.error = llhttp_execute(&parser_, wire.data(), wire.size());
    if (opinion_.error == HPE_OK && !opinion_.complete) opinion_.error = llhttp_finish(&parser_);
    return opinion_;
  }

 private:
  static Oracle& self(llhttp_t* parser) { return *static_cast<Oracle*>(parser->data); }
  int end_head(llhttp_t* parser) {
    if (parser->type == HTTP_REQUEST) {
      opinion_.start = llhttp_method_name(static_cast<llhttp_method_t>(parser->method));
      opinion_.start += " " + target_;
      return 0;
    }
    opinion_.start = std::to_string(parser->status_code);
    // This version knows 1xx, 204 and 304 (RFC 9112 6.3 step 1) only when its user tells it.
    return is_bodiless(parser->status_code) ? 1 : 0;
  }

  llhttp_settings_t settings_{};
  llhttp_t parser_{};
  std::string target_;
  Opinion opinion_;
};

// What weir says, from its transcript; `accepted` only for complete messages.
struct Verdict {
  bool accepted = false;
  std::string start;
  std::string body;
  std::size_t left = 0;
};

Verdict verdict_of(const std::vector<std::string>& lines) {
  Verdict out;
  out.accepted = true;
  for (const std::string& line : lines) {
    if (line.starts_with("error ") || line == "incomplete") out.accepted = false;
    if (line.starts_with("request ")) out.start = line.substr(8, line.rfind(" HTTP/1.") - 8);
    if (line.starts_with("response ")) out.start = line.substr(9, 3);
    if (line.starts_with("data ")) out.body = line.substr(5);
    if (line.starts_with("left ")) out.left = std::stoul(line.substr(5));
  }
  return out;
}

// Methods and versions that llhttp does not know at all are no difference of opinion.
bool is_beyond_llhttp(const Opinion& opinion) {
  return opinion.error == HPE_INVALID_METHOD || opinion.error == HPE_INVALID_VERSION;
}

// Why llhttp disagrees; empty when it does not, or when weir refuses.
std::string disagreement(HeadParser::Mode mode, std::string_view wire, bool* accepted = nullptr) {
  MessageKind kind;
  kind.mode = mode;
  const auto lines = read_in_pieces(kind, wire, {});
  const Verdict weir = verdict_of(lines);
  if (accepted != nullptr) *accepted = weir.accepted;
  if (!weir.accepted) return {};
  Oracle oracle(mode);
  const Opinion other = oracle.judge(wire.substr(0, wire.size() - weir.left));
  if (is_beyond_llhttp(other)) return {};
  const bool upgrade = other.error == HPE_PAUSED_UPGRADE;
  if (other.error != HPE_OK && !upgrade) {
    return std::string("llhttp refuses: ") + llhttp_errno_name(other.error);
  }
  if (escape(other.start) != weir.start) return "llhttp read " + other.start + " not " + weir.start;
  if (!upgrade && escape(other.body) != weir.body) return "llhttp read the body " + other.body;
  return {};
}

TEST(Differential, RandomRequests) {
  unsigned accepted = 0;
  EXPECT_TRUE(rc::check("weir's requests are llhttp's", [&] {
    for (int i = 0; i < kMessagesPerRound; ++i) {
      bool yes = false;
      const std::string wire = random_request();
      RC_ASSERT(disagreement(HeadParser::Mode::request, wire, &yes) == "");
      accepted += yes ? 1U : 0U;
    }
  }));
  EXPECT_GT(accepted, 20U * kMessagesPerRound) << "too few valid messages to mean anything";
}

TEST(Differential, RandomResponses) {
  unsigned accepted = 0;
  EXPECT_TRUE(rc::check("weir's responses are llhttp's", [&] {
    for (int i = 0; i < kMessagesPerRound; ++i) {
      bool yes = false;
      const std::string wire = random_response();
      RC_ASSERT(disagreement(HeadParser::Mode::response, wire, &yes) == "");
      accepted += yes ? 1U : 0U;
    }
  }));
  EXPECT_GT(accepted, 20U * kMessagesPerRound) << "too few valid messages to mean anything";
}

TEST(Differential, Vectors) {
  for (const char* file :
       {"request_heads.txt", "hosts.txt", "request_framing.txt", "tunnels.txt"}) {
    for (const Case& vector : read_cases(file)) {
      if (!vector.options.empty()) continue;
      EXPECT_EQ(disagreement(HeadParser::Mode::request, vector.in), "") << vector.where;
    }
  }
  for (const Case& vector : read_cases("responses.txt")) {
    if (!vector.options.empty()) continue;
    EXPECT_EQ(disagreement(HeadParser::Mode::response, vector.in), "") << vector.where;
  }
}

}  // namespace
}  // namespace weir::http::test

#else

TEST(Differential, Requests) { GTEST_SKIP() << "the sources of llhttp are not installed"; }

#endif
