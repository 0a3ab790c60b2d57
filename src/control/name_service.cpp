#include "control/name_service.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "os/os.h"
#include "os/process.h"

namespace weir::control {

NameService::NameService(loop::Loop& loop, std::function<void()> changed,
                         std::function<void(const std::string&)> say)
    : Source(loop::SourceKind::wakeup),
      loop_(loop),
      watch_({[this](const os::Question& question) { resolver_.ask(question); }, std::move(changed),
              std::move(say)},
             os::random_seed()) {
  os::SocketResult answered = os::duplicate(resolver_.answered());
  CHECK(answered.status == os::IoStatus::done, "no descriptor for the resolver");
  fd = std::move(answered.fd);
  CHECK(loop_.watch_level(*this), "no memory for the resolver's watch");
}

NameService::~NameService() {
  loop_.cancel_deadline(*this);
  loop_.unwatch(*this);
}

void NameService::follow(const config::Config& config) {
  watch_.follow(config, loop_.now_ms());
  set_alarm();
}

void NameService::settle(std::uint64_t at_most_ms) {
  const auto now_ms = [] { return os::monotonic_ns() / 1'000'000; };
  const std::uint64_t end_ms = now_ms() + at_most_ms;
  while (!watch_.settled()) {
    const std::uint64_t at_ms = now_ms();
    if (at_ms >= end_ms) break;
    os::wait_readable(fd, static_cast<int>(end_ms - at_ms));
    take_answers(now_ms());
  }
  watch_.mark_told();
  set_alarm();
}

void NameService::run() {
  take_answers(loop_.now_ms());
  set_alarm();
}

void NameService::expire() {
  watch_.tick(loop_.now_ms());
  set_alarm();
}

void NameService::take_answers(std::uint64_t now_ms) {
  while (const std::optional<os::Answer> answer = resolver_.next_answer()) {
    watch_.answered(*answer, now_ms);
  }
}

void NameService::set_alarm() {
  const std::uint64_t due_ms = watch_.due_ms();
  if (due_ms == NameWatch::kNever) {
    loop_.cancel_deadline(*this);
  } else {
    loop_.set_deadline(*this, due_ms);
  }
}

}  // namespace weir::control
