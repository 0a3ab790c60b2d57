#include "sim/kernel/epoll.h"

#include <algorithm>
#include <iterator>

namespace weir::sim {
namespace {

constexpr std::size_t kStaleMax = 16;

std::uint8_t interest_of(std::uint8_t bits) {
  std::uint8_t interest = kAlways;
  if (bits & os::kReadable) interest |= kIn;
  if (bits & os::kWritable) interest |= kOut;
  if (bits & os::kHangup) interest |= kReadHangup;
  if (bits & os::kUrgent) interest |= kPriority;
  return interest;
}

std::uint8_t flags_of(std::uint8_t polled) {
  std::uint8_t flags = 0;
  if (polled & kIn) flags |= os::kReadable;
  if (polled & kOut) flags |= os::kWritable;
  if (polled & (kReadHangup | kHangupBit)) flags |= os::kHangup;
  if (polled & kPriority) flags |= os::kUrgent;
  if (polled & (kErrorBit | kHangupBit)) flags |= os::kError;
  return flags;
}

}  // namespace

void File::wake(std::uint8_t bits) {
  for (Watch* watch : watches) {
    if (!watch->armed || (bits != kUnspecified && (bits & watch->interest) == 0)) continue;
    watch->epoll.fired(*watch);
    // The first exclusive watch whose owner sleeps ends the search; a busy owner is told as well,
    // but might not come soon.
    if (watch->mode == os::Mode::exclusive_level && watch->epoll.waiting()) return;
  }
}

Epoll::~Epoll() {
  while (!watches_.empty()) erase(watches_.begin());
}

Epoll::Watches::iterator Epoll::find(const File& file, int fd) {
  const auto [begin, end] = watches_.equal_range(fd);
  const auto at =
      std::find_if(begin, end, [&](const auto& entry) { return &entry.second->file == &file; });
  return at == end ? watches_.end() : at;
}

bool Epoll::add(File& file, int fd, std::uint64_t data, std::uint8_t bits, os::Mode mode) {
  const bool exclusive = mode == os::Mode::exclusive_level;
  if (exclusive && (bits & (os::kHangup | os::kUrgent)) != 0) return false;  // EINVAL
  if (find(file, fd) != watches_.end()) return false;
  auto watch = std::make_shared<Watch>(Watch{*this, file, fd, data, interest_of(bits), mode});
  file.watches.insert(exclusive ? file.watches.end() : file.watches.begin(), watch.get());
  Watch& added = *watches_.emplace(fd, std::move(watch))->second;
  if (file.poll() & added.interest) put_on_list(added);
  return true;
}

bool Epoll::change(const File& file, int fd, std::uint64_t data, std::uint8_t bits, os::Mode mode) {
  const auto at = find(file, fd);
  if (at == watches_.end()) return false;
  Watch& watch = *at->second;
  // Linux refuses to change an exclusive watch, and into one.
  if (watch.mode == os::Mode::exclusive_level || mode == os::Mode::exclusive_level) return false;
  watch.data = data;
  watch.interest = interest_of(bits);
  watch.mode = mode;
  watch.armed = true;
  if (watch.file.poll() & watch.interest) put_on_list(watch);
  return true;
}

void Epoll::remove(const File& file, int fd) {
  if (const auto at = find(file, fd); at != watches_.end()) erase(at);
}

void Epoll::erase(Watches::iterator at) {
  Watch& watch = *at->second;
  take_off_list(watch);
  std::erase(watch.file.watches, &watch);
  watches_.erase(at);
}

void Epoll::forget_file(File& file) {
  while (!file.watches.empty()) {
    Watch& watch = *file.watches.front();
    watch.epoll.forget(watch);
  }
}

// Only close() may leave something behind: after a DEL Linux tells nothing. By the time the event
// comes, the peer may have done anything.
void Epoll::forget(const Watch& watch) {
  stale_.push_back({watch.data, flags_of(watch.interest)});
  if (stale_.size() > kStaleMax) stale_.pop_front();
  remove(watch.file, watch.fd);
}

std::size_t Epoll::tell_stale(std::span<os::Event> events) {
  if (stale_.empty() || !machine_.chance.happens(Fault::wait_stale)) return 0;
  events.front() = stale_[machine_.chance.between(0, stale_.size() - 1)];
  return 1;
}

void Epoll::put_on_list(Watch& watch) {
  if (watch.ready) return;
  watch.ready = true;
  ready_.push_back(&watch);
}

void Epoll::take_off_list(Watch& watch) {
  if (!watch.ready) return;
  watch.ready = false;
  std::erase(ready_, &watch);
}

void Epoll::fired(Watch& watch) {
  if (watch.ready) return;
  if (!machine_.chance.happens(Fault::wait_delayed)) return put_on_list(watch);
  const std::weak_ptr<Watch> later = find(watch.file, watch.fd)->second;
  machine_.clock.after(machine_.chance.spread(kNsPerUs, kRepairedWithinNs), [later] {
    const std::shared_ptr<Watch> again = later.lock();
    if (again && again->armed) again->epoll.put_on_list(*again);
  });
}

void Epoll::inject_faults() {
  if (!watches_.empty() && machine_.chance.happens(Fault::wait_spurious)) {
    const auto steps = machine_.chance.between(0, watches_.size() - 1);
    Watch& any = *std::next(watches_.begin(), static_cast<std::ptrdiff_t>(steps))->second;
    if (any.armed) put_on_list(any);
  }
  if (ready_.size() > 1 && machine_.chance.happens(Fault::wait_shuffled)) {
    for (std::size_t i = ready_.size() - 1; i > 0; --i) {
      std::swap(ready_[i], ready_[machine_.chance.between(0, i)]);
    }
  }
}

bool Epoll::tell(Watch& watch, os::Event& event) {
  if (!watch.armed) return false;
  const std::uint8_t polled = watch.file.poll() & watch.interest;
  if (polled == 0) return false;
  event = {watch.data, flags_of(polled)};
  if (watch.mode == os::Mode::oneshot) watch.armed = false;
  return true;
}

std::size_t Epoll::collect(std::span<os::Event> events) {
  inject_faults();
  const std::size_t stale = tell_stale(events);
  events = events.subspan(stale);
  std::size_t room = events.size();
  if (room > 1 && ready_.size() > 1 && machine_.chance.happens(Fault::wait_split)) {
    room = machine_.chance.between(1, std::min(room, ready_.size()) - 1);
  }
  std::size_t told = 0;
  std::size_t looked_at = 0;
  std::vector<Watch*> again;
  while (looked_at < ready_.size() && told < room) {
    Watch& watch = *ready_[looked_at++];
    watch.ready = false;
    if (!tell(watch, events[told])) continue;
    ++told;
    const bool level = watch.mode == os::Mode::level || watch.mode == os::Mode::exclusive_level;
    if (level) again.push_back(&watch);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(looked_at));
  for (Watch* watch : again) put_on_list(*watch);
  return stale + told;
}

std::string Epoll::describe() const {
  return "epoll watching " + std::to_string(watches_.size()) + " descriptors";
}

}  // namespace weir::sim
