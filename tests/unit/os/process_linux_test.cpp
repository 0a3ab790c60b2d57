// Files, processors, control groups, threads, limits and signals of the real system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "os/process.h"
#include "sockets.h"

namespace weir::os {
namespace {

bool write_all(const Fd& fd, std::string_view data) {
  return write_within(fd, data, 10'000) == IoStatus::done;
}

class Files : public testing::Test {
 protected:
  test::TemporaryDirectory directory;
  std::string path = directory.at("file");
};

TEST_F(Files, ReadsAWholeFile) {
  std::string content(200'000, 'a');
  content[5] = '\0';
  std::ofstream(path) << content;
  const auto read = read_file(path);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, content);
}

TEST_F(Files, ReadsAnEmptyFile) {
  std::ofstream{path};
  EXPECT_EQ(read_file(path).value(), "");
}

TEST_F(Files, AMissingFileIsNamedWithTheReason) {
  const auto read = read_file(path);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error(), "cannot read " + path + ": No such file or directory");
}

TEST_F(Files, ADirectoryIsRefused) {
  const auto read = read_file(directory.at(""));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().find("not a regular file"), std::string::npos) << read.error();
}

TEST_F(Files, ADeviceIsRefused) { EXPECT_FALSE(read_file("/dev/zero")); }

TEST_F(Files, RefusesMoreThan16MiB) {
  std::ofstream{path};
  ASSERT_EQ(::truncate(path.c_str(), 16 << 20), 0);
  EXPECT_TRUE(read_file(path));
  ASSERT_EQ(::truncate(path.c_str(), (16 << 20) + 1), 0);
  const auto read = read_file(path);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().find("larger than 16 MiB"), std::string::npos) << read.error();
}

// What a shell's <(...) gives: the path of a pipe whose writer takes its time.
TEST_F(Files, ReadsAPipeToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd read_end(ends[0]);
  std::jthread writer([write_end = Fd(ends[1])] {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(write_all(write_end, std::string(10'000, 'p')));
  });
  const auto read = read_file("/proc/self/fd/" + std::to_string(read_end.get()));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->size(), 1'000'000u);
}

// A pipe whose writer writes nothing, or is not there yet, must not make weir deaf.
TEST_F(Files, ASignalEndsTheWaitForAPipe) {
  const Fd signal = wakeup_create();
  wakeup_notify(signal);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto unopened = read_file(path, signal);
  ASSERT_FALSE(unopened);
  EXPECT_NE(unopened.error().find("a signal came"), std::string::npos) << unopened.error();
  const Fd writer(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(read_file(path, signal));
  std::ofstream(directory.at("regular")) << "text";
  EXPECT_EQ(read_file(directory.at("regular"), signal).value(), "text");
}

TEST_F(Files, AppendingToAPipeThatNobodyReadsIsRefused) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto unread = open_for_append(path);
  ASSERT_FALSE(unread);
  EXPECT_NE(unread.error().find("open for reading"), std::string::npos) << unread.error();
  const Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const auto file = open_for_append(path);
  ASSERT_TRUE(file) << file.error();
  std::string_view data = "line";
  EXPECT_EQ(write_within(*file, data, 0), IoStatus::done);
  const std::string more(1 << 20, 'x');
  data = more;
  EXPECT_EQ(write_within(*file, data, 0), IoStatus::again);
}

TEST(Pipes, AReaderThatIsGoneIsSeen) {
  PipeResult pipe = make_pipe();
  EXPECT_TRUE(has_reader(pipe.write_end.get()));
  pipe.read_end.reset();
  EXPECT_FALSE(has_reader(pipe.write_end.get()));
}

TEST_F(Files, AppendsAndCreatesWithoutAccessForOthers) {
  {
    const auto file = open_for_append(path);
    ASSERT_TRUE(file) << file.error();
    EXPECT_TRUE(write_all(*file, "one "));
  }
  EXPECT_TRUE(write_all(open_for_append(path).value(), "two"));
  EXPECT_EQ(read_file(path).value(), "one two");
  EXPECT_TRUE(file_exists(path));
  EXPECT_FALSE(file_exists(path + "x"));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0007, 0u);
}

TEST_F(Files, AppendSaysWhyNot) {
  const auto file = open_for_append(directory.at("missing/file"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().find("No such file"), std::string::npos) << file.error();
}

TEST_F(Files, WriteAllWaitsForAFullPipeAndSeesADeadOne) {
  PipeResult pipe = make_pipe();
  std::jthread reader([read_end = std::move(pipe.read_end)] {
    char data[4096];
    for (std::size_t total = 0; total < 1'000'000;) {
      wait_readable(read_end, 10'000);
      const ssize_t count = ::read(read_end.get(), data, sizeof data);
      if (count > 0) total += static_cast<std::size_t>(count);
    }
  });
  EXPECT_TRUE(write_all(pipe.write_end, std::string(1'000'000, 'w')));
  reader.join();
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_FALSE(write_all(pipe.write_end, "x"));
}

TEST(StandardOutput, IsADescriptorOfItsOwn) {
  const Fd out = standard_output();
  EXPECT_TRUE(out.valid());
  EXPECT_GT(out.get(), 2);
}

TEST(Processors, UsableOnesAreThoseOfTheMask) {
  const std::vector<int> cpus = usable_cpus();
  cpu_set_t set;
  ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_EQ(cpus.size(), static_cast<std::size_t>(CPU_COUNT(&set)));
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  for (const int cpu : cpus) EXPECT_TRUE(CPU_ISSET(static_cast<unsigned>(cpu), &set)) << cpu;
}

// A tree of control groups as files.
class ControlGroups : public testing::Test {
 protected:
  void group(const std::string& path, const std::string& file, const std::string& content) {
    std::filesystem::create_directories(directory.at(path));
    std::ofstream(directory.at(path + "/" + file)) << content << "\n";
  }
  [[nodiscard]] unsigned quota(const std::string& membership) {
    std::ofstream(directory.at("membership")) << membership << "\n";
    return cgroup_cpu_quota(directory.at(""), directory.at("membership"));
  }

  test::TemporaryDirectory directory;
};

TEST_F(ControlGroups, Version2RoundsUp) {
  group("a", "cpu.max", "150000 100000");
  group("b", "cpu.max", "max 100000");
  group("c", "cpu.max", "1000 100000");
  group("d", "cpu.max", "200000 100000");
  EXPECT_EQ(quota("0::/a"), 2u);
  EXPECT_EQ(quota("0::/b"), 0u);
  EXPECT_EQ(quota("0::/c"), 1u);
  EXPECT_EQ(quota("0::/d"), 2u);
  EXPECT_EQ(quota("0::/"), 0u);
}

// A systemd unit with CPUQuota= inside a slice that has one as well.
TEST_F(ControlGroups, TheTightestGroupAboveCounts) {
  group("system.slice", "cpu.max", "300000 100000");
  group("system.slice/weir.service", "cpu.max", "max 100000");
  EXPECT_EQ(quota("0::/system.slice/weir.service"), 3u);
  group("system.slice/weir.service", "cpu.max", "200000 100000");
  EXPECT_EQ(quota("0::/system.slice/weir.service"), 2u);
  group("", "cpu.max", "100000 100000");
  EXPECT_EQ(quota("0::/system.slice/weir.service"), 1u);
}

TEST_F(ControlGroups, Version1AndAPathOfTheHost) {
  group("cpu", "cpu.cfs_quota_us", "400000");
  group("cpu", "cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota("4:cpu,cpuacct:/docker/0123"), 4u);
  EXPECT_EQ(quota("2:cpuacct:/docker/0123\n1:memory:/"), 0u);
  group("cpu", "cpu.cfs_quota_us", "-1");
  EXPECT_EQ(quota("4:cpuacct,cpu:/docker/0123"), 0u);
}

TEST_F(ControlGroups, NothingReadableMeansUnlimited) {
  EXPECT_EQ(quota("0::/missing"), 0u);
  EXPECT_EQ(quota("nonsense"), 0u);
  EXPECT_EQ(quota(":"), 0u);
  EXPECT_EQ(cgroup_cpu_quota(directory.at(""), directory.at("missing")), 0u);
  EXPECT_LT(cgroup_cpu_quota(), 100'000u);  // Whatever holds here.
}

TEST(Threads, ArePinnedAndNamed) {
  const int cpu = usable_cpus().back();
  const Fd go = wakeup_create();
  std::jthread thread =
      start_thread("a name of more than 15 bytes", cpu, [&] { wait_readable(go, 10'000); });
  cpu_set_t set;
  EXPECT_EQ(::pthread_getaffinity_np(thread.native_handle(), sizeof set, &set), 0);
  EXPECT_EQ(CPU_COUNT(&set), 1);
  EXPECT_TRUE(CPU_ISSET(static_cast<unsigned>(cpu), &set));
  char name[16] = {};
  EXPECT_EQ(::pthread_getname_np(thread.native_handle(), name, sizeof name), 0);
  EXPECT_STREQ(name, "a name of more ");
  wakeup_notify(go);
}

TEST(Threads, AProcessorThatDoesNotExistLeavesTheThreadUnpinned) {
  bool ran = false;
  start_thread("t", 1023, [&] { ran = true; }).join();
  EXPECT_TRUE(ran);
}

TEST(Limits, TheSoftLimitBecomesTheHardOne) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

// In the child, because blocked signals would stay blocked in the tests that follow.
void report_signals_and_exit() {
  const Fd signals = signals_open();
  bool ok = signals_next(signals) == Signal::none;
  constexpr std::pair<int, Signal> kExpected[] = {{SIGHUP, Signal::reload},
                                                  {SIGUSR1, Signal::reopen},
                                                  {SIGTERM, Signal::terminate},
                                                  {SIGINT, Signal::terminate},
                                                  {SIGQUIT, Signal::terminate}};
  for (const auto& [number, meaning] : kExpected) {
    ::raise(number);
    ok = ok && signals_next(signals) == meaning;
  }
  ::raise(SIGPIPE);
  ok = ok && signals_next(signals) == Signal::none;
  ::_exit(ok ? 0 : 1);
}

TEST(SignalsDeathTest, AreReportedInsteadOfKilling) {
  EXPECT_EXIT(report_signals_and_exit(), testing::ExitedWithCode(0), "");
}

void release_with_a_signal_pending() {
  Fd signals = signals_open();
  ::raise(SIGTERM);
  signals_release(std::move(signals));
  ::_exit(0);
}

TEST(SignalsDeathTest, ReleasedOnesDoWhatTheyDoByDefault) {
  EXPECT_EXIT(release_with_a_signal_pending(), testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace weir::os
