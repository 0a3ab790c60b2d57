// Epoll: an epoll instance with Linux's rules (fs/eventpoll.c).
//
// A wake-up only puts a watch on the ready list, if its interest covers the reason. What is
// reported is decided when somebody waits: each watch on the list is polled anew, and dropped when
// there is nothing to tell. Level-triggered ones go back on the list after being told, oneshot ones
// are disarmed. ADD and MOD put a watch on the list when something is the case already.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "os/os.h"
#include "sim/kernel/file.h"
#include "sim/kernel/machine.h"

namespace weir::sim {

class Epoll;

// One descriptor in one epoll instance.
struct Watch {
  Epoll& epoll;
  File& file;
  int fd;
  std::uint64_t data;
  std::uint8_t interest;  // PollBits
  os::Mode mode;
  bool armed = true;   // False: a oneshot watch that has fired.
  bool ready = false;  // On the ready list.
};

class Epoll final : public File {
 public:
  explicit Epoll(Machine& machine) : machine_(machine) {}
  ~Epoll() override;

  // False when this descriptor is watched already.
  [[nodiscard]] bool add(File& file, int fd, std::uint64_t data, std::uint8_t bits, os::Mode mode);
  // False when it is not.
  [[nodiscard]] bool change(const File& file, int fd, std::uint64_t data, std::uint8_t bits,
                            os::Mode mode);
  void remove(const File& file, int fd);
  // The file's last descriptor is gone.
  static void forget_file(File& file);

  // Tells what is ready, as far as there is room.
  [[nodiscard]] std::size_t collect(std::span<os::Event> events);
  [[nodiscard]] bool may_have_events() const { return !ready_.empty(); }
  // A watched file was woken.
  void fired(Watch& watch);
  // Somebody blocks in epoll_wait; matters to exclusive watches only.
  void set_waiting(bool waiting) { waiting_ = waiting; }
  [[nodiscard]] bool waiting() const { return waiting_; }

  [[nodiscard]] std::uint8_t poll() override { return may_have_events() ? kIn : 0; }
  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] std::size_t interests() const { return watches_.size(); }

 private:
  using Watches = std::multimap<int, std::shared_ptr<Watch>>;

  [[nodiscard]] Watches::iterator find(const File& file, int fd);
  void erase(Watches::iterator at);
  void put_on_list(Watch& watch);
  void take_off_list(Watch& watch);
  void inject_faults();
  // Its descriptor was closed.
  void forget(const Watch& watch);
  // Fault: an event of one that was closed. Returns how many were told.
  [[nodiscard]] std::size_t tell_stale(std::span<os::Event> events);
  // False when there is nothing to tell.
  [[nodiscard]] bool tell(Watch& watch, os::Event& event);

  Machine& machine_;
  Watches watches_;  // By descriptor.
  std::vector<Watch*> ready_;
  std::deque<os::Event> stale_;  // What watches that were closed last could still tell.
  bool waiting_ = false;
};

}  // namespace weir::sim
