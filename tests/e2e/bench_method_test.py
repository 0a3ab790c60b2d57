"""What tools/bench makes of its rounds: ratios, verdicts, percentiles, captions; and that its loads
count nothing of making or closing connections."""

import pathlib
import re
import socket
import subprocess
import unittest
from unittest import mock

from bench_tool_test import options, sample
from harness import BINARY, OK, Case, answering, seconds

import comparison
import cpu_profile
import loads
import plain
import report
import rig
import targets

PROGRAMS = rig.BUILD  # These are not of the build that is tested: they measure it.


def costs(*each, **changes):
    return [sample(cpu_us=cost, **changes) for cost in each]


class Rounds(Case):

    def test_a_ratio_is_that_of_rounds(self):
        """The machine was twice as slow in a round: weir is 1.1 of the other in each of them."""
        weir, other = costs(11, 22, 33), costs(10, 20, 30)
        self.assertAlmostEqual(comparison.ratio(weir, other), 1.1)
        # Medians have other rounds of the two meet.
        weir, other = costs(11, 40, 12), costs(10, 50, 20)
        self.assertAlmostEqual(comparison.ratio(weir, other), 0.8)
        table = loads.table({"weir": weir, "nginx": other})
        self.assertIn("| / nginx |", table)
        self.assertRegex(table, r"(?m)^\| weir \| 12\.00 \| 11\.00-40\.00 \| 0\.80 \|")

    def test_a_verdict_says_which_rounds_had_another(self):
        found = {"weir": costs(10, 10, 12), "floor": costs(10, 10, 10)}
        near = targets.cost_target("x", found, {"floor": 1.1})
        self.assertEqual((near.met, near.weir), ("yes, but not in 1 of 3 rounds",
                                                 "10.0: 1.00x (1.00-1.20) floor"))
        found["weir"] = costs(12, 10, 12)
        self.assertEqual(targets.cost_target("x", found, {"floor": 1.1}).met,
                         "**no**, but in 1 of 3 rounds")
        self.assertEqual(targets.cost_target("x", found, {"floor": 1.2}).met, "yes")
        self.assertEqual(targets.cost_target("x", found, {"floor": 0.9}).met, "**no**")

    def test_answers_that_failed_do_not_meet_a_target(self):
        found = {"weir": costs(1, 1, 1, failed=1), "floor": costs(10, 10, 10)}
        self.assertEqual(targets.cost_target("x", found, {"floor": 1.1}).met, "**no**")

    def test_a_bound_is_shown_with_digits_that_tell_it_from_the_value(self):
        target = targets.bound_target("x", {"weir": 3.96}, 4.0, "MB", 2, [3.95, 3.96, 4.01])
        self.assertEqual(target[1:4], ("3.96 MB", "<= 4 MB", "yes, but not in 1 of 3 rounds"))

    def measured(self, stolen, scenes=1):
        """The samples of so many scenes while the host takes these shares, and what is said."""
        found, repeats, number = {"weir": [], "floor": []}, comparison.Repeats(), iter(range(99))

        def measure():
            return dict.fromkeys(found, next(number))

        with mock.patch.object(comparison, "stolen_ticks", lambda cpus: (0, 0)), \
                mock.patch.object(comparison, "steal_since", side_effect=[*stolen, 0.0]):
            for _ in range(scenes):
                comparison.add_scene(found, measure, repeats, (0, 1))
        self.assertEqual(found["weir"], found["floor"])
        return found["weir"], repeats.text()

    def test_what_the_host_disturbed_is_measured_again_with_all_proxies(self):
        self.assertEqual(self.measured([0.0]), ([0], ""))
        self.assertEqual(self.measured([0.02]), ([0], ""))
        samples, said = self.measured([0.03, 0.01])
        self.assertEqual(samples, [1])
        self.assertTrue(said.startswith("1 of 1 scenes of rounds were measured again"), said)

    def test_half_of_all_scenes_are_measured_again_at_most(self):
        samples, said = self.measured([0.5] * 9, scenes=6)
        self.assertEqual(samples, [1, 2, 4, 5, 7, 8])
        self.assertTrue(said.startswith("3 of 6 "), said)

    def test_instructions_are_those_of_our_own_weir(self):
        small = {"weir": costs(1.0)}
        with mock.patch.object(rig, "BUILD", pathlib.Path("/built")):
            self.assertIn("instructions", targets.user_target(small, "/built/weir").weir)
            self.assertNotIn("instructions", targets.user_target(small, "/other/weir").weir)

    def test_what_a_late_stage_needs_is_asked_for_first(self):
        with mock.patch.object(targets.rig, "check_programs"), \
                mock.patch.object(targets.idle, "DESCRIPTORS", 1 << 62), \
                mock.patch.object(targets.loads, "run") as measured, \
                self.assertRaises(SystemExit) as end:
            targets.run(options(), pathlib.Path(self.directory))
        self.assertIn("open files", str(end.exception))
        measured.assert_not_called()


class Profiles(Case):

    def test_a_sample_belongs_to_the_call_it_is_in(self):
        def frame(address, symbol, where):
            return f"\t{address:16x} {symbol} ({where})"

        kernel, own = 0xffffffff81000000, 0x563e4d8bc000
        call = frame(kernel, "__x64_sys_sendto", "[kernel.kallsyms]")
        below = frame(kernel, "tcp_sendmsg", "[kernel.kallsyms]")
        caller = frame(own, "weir::http::parse(char const*)", "/built/weir")
        samples = [[below, call, caller], [caller], [frame(own, "send", "/lib/libc.so.6"), caller],
                   [frame(own, "[unknown]", "[vdso]")],
                   [frame(kernel, "entry", "[unknown]"), caller],
                   [call.replace("sendto", "accept4")], [call.replace("sendto", "getpid")],
                   [call.replace("sendto", "recvfrom")], [call.replace("sendto", "splice")],
                   [call.replace("sendto", "writev"), caller]]
        lines = [line for sample in samples for line in [*sample, ""]]
        self.assertEqual({part: share for part, share in
                          cpu_profile.shares(lines, "weir").items() if share},
                         {"its own code": 0.1, "libraries": 0.2, "receive": 0.1, "send": 0.2,
                          "accept": 0.1, "splice": 0.1, "other calls": 0.1,
                          "entry, exit, interrupts": 0.1})

    def test_nothing_seen_is_no_profile(self):
        with self.assertRaises(SystemExit) as end:
            cpu_profile.shares(["", "\t[unknown]"], "weir")
        self.assertIn("has seen nothing of weir", str(end.exception))


class Captions(Case):

    def test_a_percentile_needs_requests_beyond_it(self):
        for requests, wanted in ((333, ["", ""]), (334, ["0.200", ""]),
                                 (33333, ["0.200", ""]), (33334, ["0.200", "0.300"])):
            row, = loads.table_rows({"weir": costs(1, 1, 1, requests=requests)})
            self.assertEqual([row["p99 ms"], row["p99.99 ms"]], wanted, requests)

    def test_a_scene_says_from_when_a_request_counts(self):
        self.assertIn("from its sending", loads.heading("one", {"weir": [sample()]}))
        self.assertIn("from when it was due", loads.heading("one", {"weir": [sample(rate=1000)]}))

    def test_steal_is_that_of_the_cpus_in_use(self):
        line = "cpu{} 10 0 10 70 0 0 0 {} 5 5\n".format
        with mock.patch.object(pathlib.Path, "read_text",
                               lambda path: line("", 99) + line(0, 10) + line(1, 0) + line(11, 99)):
            self.assertEqual(comparison.stolen_ticks((0, 1)), (10, 190))
            self.assertEqual(comparison.stolen_ticks(("0,1", "0,1")), (10, 190))
            self.assertEqual(comparison.steal_since((0, 90), (0, 1)), 0.1)

    def test_the_reference_is_the_floor_or_the_steadiest(self):
        with_floor = {"weir": costs(1, 1, 1), "floor": costs(10, 11, 12)}
        without = {"weir": costs(10, 10, 20), "nginx": costs(20, 20, 21)}
        self.assertAlmostEqual(comparison.spread_of([with_floor]), 2 / 11)
        self.assertAlmostEqual(comparison.spread_of([without]), 1 / 20)
        self.assertAlmostEqual(comparison.spread_of([without, with_floor]), 2 / 11)

    def test_the_caption_says_what_is_known_of_the_machine(self):
        noise = comparison.Noise(0.01, 0.2, 0.0, 0.013, 5.0, 0.3)
        self.assertEqual(comparison.noise_text(noise),
                         "Where it was least quiet a proxy waited 1.0% of the time for its CPU, "
                         "the load was 0.20 ms late (p99, 5.00 ms in its worst round), the host "
                         "took 1.3% of the CPUs' time, and the rounds of the reference were 30% "
                         "apart.\n")

    def test_a_program_that_is_not_there_has_no_version(self):
        self.assertEqual(report.version_of("nginx", options(nginx="/nowhere/nginx")), "nginx")
        self.assertEqual(report.version_of("weir", options(weir="/nowhere/weir")), "weir")

    def test_calls_that_nobody_could_count_are_not_zero(self):
        for calls in ({}, {"one": {"weir": {}}}):
            text = loads.calls_text(calls)
            self.assertIn("could not attach", text)
            self.assertNotIn("0.00", text)
        text = loads.calls_text({"one": {"weir": {"epoll_wait": 2.0}, "weir level": {}}})
        self.assertIn("| one | weir | 2.00 | 0.00 |", text)
        self.assertIn("| one | weir level |  |  |", text)
        self.assertIn("not reached", text)


@unittest.skipUnless((PROGRAMS / "load").exists(), f"bench/ is not built in {PROGRAMS}")
class Held(Case):
    """Connections are made before the clock starts, and closed after it was read."""

    @staticmethod
    def end(process):
        if process in rig.started:
            rig.stop(process)
        process.stdout.close()

    def check(self, *command):
        server = self.origin(answering(OK))
        process = rig.start(0, [str(PROGRAMS / command[0]), "--port", str(server.port),
                                *command[1:]], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertEqual((len(server.connections), len(server.requests)), (4, 4))
        seen = loads.go(process, command[0])
        self.assertEqual(seen["requests"], len(server.requests) - 4)
        self.assertGreater(seen["requests"], 0)
        self.assertEqual(len(server.connections), 4)
        self.assertFalse([each for each in server.connections if each.done.is_set()])
        rig.stop(process)
        for connection in server.connections:
            self.assertTrue(connection.done.wait(seconds(10)))

    def test_load(self):
        self.check("load", "--connections", "4", "--seconds", "1", "--warm-up", "0", "--hold")

    def test_load_at_a_rate(self):
        self.check("load", "--connections", "4", "--rate", "100", "--seconds", "1", "--warm-up",
                   "0", "--hold")

    def test_pull(self):
        self.check("pull", "--connections", "4", "--seconds", "1", "--hold", "1")

    def test_without_keep_alive_there_is_nothing_to_make_before(self):
        server = self.origin(answering(OK))
        process = rig.start(0, [str(PROGRAMS / "load"), "--port", str(server.port),
                                "--no-keep-alive", "--requests", "8", "--hold"],
                            stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertEqual(len(server.connections), 0)
        self.assertEqual((loads.go(process, "load")["requests"], len(server.connections)), (8, 8))

    def test_floor_close_can_defer(self):
        server = self.origin(answering(OK))
        floor = rig.start(0, [str(PROGRAMS / "floor_close"), "--defer", str(server.port)],
                          stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, floor)
        with socket.create_connection(("127.0.0.1", rig.port_of(floor))) as client:
            client.settimeout(seconds(10))
            own, peer = ("{1:02X}".format(*address).zfill(4) for address in
                         (client.getsockname(), client.getpeername()))
            states = re.findall(rf": \w+:{peer} \w+:{own} (\w\w) ",
                                pathlib.Path("/proc/net/tcp").read_text())
            self.assertEqual(states, ["03"])  # SYN_RECV: not accepted before it has spoken.
            client.sendall(b"x")
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 OK"))

    def test_a_floor_of_two_workers_is_two_processes(self):
        server = self.origin(answering(OK))
        floor = rig.start(0, [str(PROGRAMS / "floor"), "--workers", "2", str(server.port)],
                          stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, floor)
        port, tree = rig.port_of(floor), rig.process_tree(floor.pid)
        self.assertEqual(len(tree), 2)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
        for client in clients:  # Whoever has it serves it.
            with client:
                client.settimeout(seconds(10))
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 OK"))

    def test_the_suite_has_it_defer(self):
        command = plain.command_of("floor_close deferred", plain.Shape(), options(),
                                   pathlib.Path(self.directory), {"PORT": 1, "ORIGIN": 2})
        self.assertEqual(command[1:], ["--defer", "--workers", "1", "--port", "1", "2"])
        self.assertEqual(plain.programs(["floor_close deferred"], options()), command[:1])
