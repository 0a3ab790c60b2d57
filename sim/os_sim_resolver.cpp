// resolver.h over the simulated kernel: the world says what the name servers answer, and when. No
// thread: an answer is an event of the virtual clock.

#include <deque>
#include <memory>
#include <utility>

#include "base/check.h"
#include "os/os.h"
#include "os/resolver.h"
#include "sim/kernel/wakeup.h"
#include "sim/os_sim_call.h"

namespace weir::os {
namespace {

struct Inbox {
  Fd answered = wakeup_create();
  std::deque<Answer> answers;
};

}  // namespace

class Resolver::Work {
 public:
  void ask(Question question) {
    const sim::Call call("ask");
    const auto& on_lookup = sim::Kernel::current().on_lookup;
    CHECK(on_lookup != nullptr, "a lookup, and no name servers");
    sim::Lookup lookup = on_lookup(question);
    lookup.answer.question = std::move(question);
    call.end(lookup.delay_ns, lookup.answer.addresses.size());
    sim::machine().clock.after(lookup.delay_ns,
                               [to = std::weak_ptr(inbox_), answer = std::move(lookup.answer)] {
                                 const auto inbox = to.lock();
                                 if (inbox == nullptr)
                                   return;  // The resolver has given up what was under way.
                                 inbox->answers.push_back(answer);
                                 wakeup_notify(inbox->answered);
                               });
  }

  [[nodiscard]] const Fd& answered() const { return inbox_->answered; }

  // Nothing comes between the look and the clearing: others run only where a call begins.
  [[nodiscard]] std::optional<Answer> next_answer() {
    const sim::Call call("next_answer", answered().get());
    if (inbox_->answers.empty()) {
      call.file<sim::Wakeup>().clear();
      call.end();
      return std::nullopt;
    }
    Answer answer = std::move(inbox_->answers.front());
    inbox_->answers.pop_front();
    if (const auto& on_answer = sim::Kernel::current().on_answer) on_answer(answer);
    call.end(static_cast<std::uint64_t>(answer.status), answer.addresses.size());
    return answer;
  }

 private:
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
};

Resolver::Resolver(int /*timeout_ms*/) : work_(std::make_unique<Work>()) {}
Resolver::~Resolver() = default;
void Resolver::ask(Question question) { work_->ask(std::move(question)); }
const Fd& Resolver::answered() const { return work_->answered(); }
std::optional<Answer> Resolver::next_answer() { return work_->next_answer(); }

}  // namespace weir::os
