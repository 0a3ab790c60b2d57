"""tools/bench: what it refuses to measure, what it refuses to publish, and what it writes."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree
from unittest import mock

from harness import Case, seconds

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import comparison  # noqa: E402
import loads  # noqa: E402
import main  # noqa: E402
import plot  # noqa: E402
import publish  # noqa: E402
import rig  # noqa: E402


def sample(**changes):
    return {"cpu_us": 10.0, "user_ticks": 1, "ticks": 4, "busy": 0.5, "disturbed": 0.01,
            "per_second": 1000.0, "p50_ms": 0.1, "p99_ms": 0.2, "p99_99_ms": 0.3,
            "late_p99_ms": 0.1, "requests": 1000, "failed": 0, **changes}


def options(**changes):
    return argparse.Namespace(**{
        "rounds": 3, "seconds": 1, "names": ["weir", "nginx", "haproxy", "floor"],
        "own_changed": [], "json": None, "dry_run": False, "write": False, "command": "tools/bench",
        "weir": "true", "nginx": "true", "haproxy": "true", "cpus": (0, 1),
        "repeats": comparison.Repeats(), **changes})


def parse(*arguments):
    return main.command_line.parse(main.COMPARISONS, main.__doc__, "targets", list(arguments))


class Arguments(Case):

    def refused(self, *arguments):
        """The one line that says why."""
        with mock.patch("sys.stderr", io.StringIO()) as said, \
                self.assertRaises(SystemExit) as end:
            parse(*arguments)
        self.assertEqual(end.exception.code, 2)
        self.assertRegex(said.getvalue(), r"\Atools/bench.*: .+\n\Z")
        return said.getvalue()

    def test_a_mistake_is_told_before_anything_is_built(self):
        ran = subprocess.run([str(ROOT / "tools" / "bench"), "small", "--only", "foo"],
                             stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True,
                             timeout=seconds(20))
        self.assertEqual((ran.returncode, ran.stdout), (2, ""))
        self.assertEqual(ran.stderr, "tools/bench small: argument --only: small has no 'foo'; "
                                     "there are: weir, nginx, haproxy, floor\n")

    def test_a_mistake_is_one_line_that_names_what_exists(self):
        for arguments, words in (
                (["nosuch"], "no suite 'nosuch'; there are: targets, small, "),
                (["--seconds", "1", "small", "nosuch"], "no suite 'nosuch'; there are: targets, "),
                (["small", "--only", "foo"], "small has no 'foo'; there are: weir, nginx, "),
                (["small", "--only", "weir,foo"], "small has no 'foo'; there are: weir, nginx, "),
                (["small", "--only", ""], "small has no ''; there are: weir, nginx, "),
                (["trigger", "--only", "weir"], "there are: weir edge, weir level, weir oneshot"),
                (["bulk", "small", "--only", "floor_splice"], "small has no 'floor_splice'; "),
                (["targets", "idle", "--only", "weir"], "targets always compares all"),
                (["small", "--rounds", "0"], "'0' is not a number from 1 to "),
                (["small", "--rounds", "-1"], "'-1' is not a number from 1 to "),
                (["fairness", "--rounds", "0"], "'0' is not a number from 1 to "),
                (["attacks", "--rounds", "0"], "'0' is not a number from 1 to "),
                (["wrk", "--seconds", "1.5"], "'1.5' is not a number from 1 to "),
                (["attacks", "--attacks", "idle,foo"], "no 'foo'; there are: slow_head, "),
                (["fairness", "--scenes", "foo"], "there are: small alone, "),
                (["bulk", "--sizes", "4096,"], "'' is not a number from 1 to "),
                (["small", "bulk", "--sizes", "4096"], "--sizes"),
                (["small", "--json", "/nowhere/at/all"], "no file in a folder that exists"),
                (["small", "--json", "."], "'.' is no file in a folder that exists"),
                (["small", "--json", "README.md"], "'README.md' is there and has no results"),
                (["small", "--weir", "/nowhere"], "argument --weir: '/nowhere' does not exist\n"),
                (["small", "--nginx", "tests"], "argument --nginx: 'tests' is not a program\n"),
                (["micro", "--weir", "/bin/true"], "argument --weir: means nothing to micro"),
                (["--full", "--only", "nobody"], "small has no 'nobody'; there are: "),
                (["small", "--write", "--dry-run"], "not allowed with")):
            with self.subTest(arguments=arguments), contextlib.chdir(ROOT):
                self.assertIn(words, self.refused(*arguments))

    def test_paths_are_those_of_the_caller(self):
        """Whose folder tools/bench does not leave."""
        folder = pathlib.Path(self.directory)
        (folder / "mine").symlink_to("/bin/true")
        with contextlib.chdir(folder):
            ((_, found),) = parse("small", "--weir", "./mine", "--json", "results.json")
        self.assertEqual((found.weir, found.json),
                         (str(folder / "mine"), folder / "results.json"))
        ran = subprocess.run([str(ROOT / "tools" / "bench"), "small", "--weir", "mine", "--json",
                              "/nowhere/at/all"], stdin=subprocess.DEVNULL, capture_output=True,
                             check=False, text=True, cwd=folder, timeout=seconds(20))
        self.assertRegex(ran.stderr, r"\A[^\n]*--json: '/nowhere/at/all' is no file [^\n]*\n\Z")

    def test_programs_that_are_not_given_are_the_usual_ones(self):
        ((_, found),) = parse("small", "--nginx", "/bin/true")
        self.assertEqual({name: getattr(found, name) for name in ("weir", "nginx", "haproxy")},
                         {**rig.default_programs(), "nginx": "/bin/true"})

    def test_list_names_every_suite(self):
        with self.assertRaises(SystemExit) as end, \
                mock.patch("sys.stdout", io.StringIO()) as shown:
            parse("--list")
        self.assertEqual(end.exception.code, 0)
        self.assertEqual([line.split()[0] for line in shown.getvalue().splitlines()],
                         list(main.COMPARISONS))

    def test_only_reaches_every_suite(self):
        chosen = parse("bulk", "small", "--only", "floor,weir")
        self.assertEqual([(each.name, found.names) for each, found in chosen],
                         [("bulk", ["weir", "floor"]), ("small", ["weir", "floor"])])

    def test_full_is_everything_but_the_targets(self):
        chosen = parse("--full")
        self.assertEqual([each.name for each, _ in chosen],
                         [name for name in main.COMPARISONS if name != "targets"])
        for each, found in chosen:
            self.assertEqual((found.rounds, found.own_changed), (each.rounds, []))
            self.assertGreaterEqual(each.rounds, comparison.ROUNDS_MIN)

    def test_full_with_only_is_whoever_has_them(self):
        with mock.patch("sys.stderr", io.StringIO()) as said:
            chosen = parse("--full", "--only", "weir")
        self.assertEqual(
            [each.name for each, _ in chosen],
            [name for name, each in main.COMPARISONS.items() if "weir" in each.proxies])
        self.assertEqual(said.getvalue(),
                         "tools/bench: --only weir leaves out trigger, micro, profile\n")

    def test_full_measures_the_parts_of_this_weir(self):
        chosen = {each.name: found for each, found in parse("--full", "--weir", "/bin/true")}
        self.assertEqual(chosen["small"].weir, "/bin/true")
        self.assertEqual(chosen["micro"].weir, rig.default_programs()["weir"])

    def test_help_fits_a_terminal(self):
        for name in ([], *([name] for name in main.COMPARISONS)):
            with mock.patch.dict(os.environ, COLUMNS="80"), self.assertRaises(SystemExit), \
                    mock.patch("sys.stdout", io.StringIO()) as shown:
                parse(*name, "--help")
            self.assertLessEqual(max(map(len, shown.getvalue().splitlines())), 80, name)


class Gate(Case):
    """Pages and results of this test are files of its own."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.directory)
        self.page = self.folder / "page.md"
        self.page.write_text("before\n<!-- bench small: begin -->\nold\n<!-- bench small: end -->\n"
                             "after\n")
        self.small = main.COMPARISONS["small"]._replace(
            page=self.page, blocks=lambda found, options: [
                comparison.Block(self.page, "bench small", loads.readme_text(found, options))])
        results = mock.patch.object(publish, "RESULTS", self.folder / "results.json")
        results.start()
        self.addCleanup(results.stop)

    def publish(self, given, **changes):
        """Whether it was published; every sample has these changes."""
        before = self.page.read_text()
        found = {"scenes": {loads.CLOSED: {name: [sample(**changes)] * given.rounds
                                           for name in given.names}}, "calls": {}}
        with mock.patch("sys.stderr"):
            published = publish.publish(self.small, found, self.small.page_text(found, given),
                                        given)
        self.assertEqual(published, given.dry_run or self.page.read_text() != before)
        return self.page.read_text() != before

    def test_a_quiet_whole_run_of_three_rounds_of_a_second_is_published(self):
        self.assertTrue(self.publish(options()))
        text = self.page.read_text()
        self.assertRegex(text, r"(?s)^before\n.*\| weir \| 10\.00 \|.*after\n$")
        self.assertNotIn("old", text)
        stored = json.loads(publish.RESULTS.read_text())
        self.assertEqual(len(stored["small"]["found"]["scenes"][loads.CLOSED]["weir"]), 3)
        xml.etree.ElementTree.parse(self.folder / "performance-small.svg")

    def test_what_is_not_for_others_is_published_only_on_demand(self):
        for given, changes in (
                ({"rounds": 2}, {}),
                ({"names": ["weir", "nginx"]}, {}),
                ({"own_changed": ["--sizes"]}, {}),
                ({}, {"disturbed": comparison.WAITED_MAX + 0.01}),
                ({}, {"late_p99_ms": comparison.LATE_MS_MAX + 0.1}),
                ({}, {"steal": comparison.STEAL_MAX + 0.01}),
                ({}, {"failed": 2})):
            with self.subTest(given=given, changes=changes):
                self.assertFalse(self.publish(options(**given), **changes))
                self.assertFalse(publish.RESULTS.exists())
        self.assertTrue(self.publish(options(rounds=1, write=True), failed=2))

    def test_a_dry_run_writes_only_the_file_that_was_asked_for(self):
        path = self.folder / "mine.json"
        self.assertFalse(self.publish(options(dry_run=True, json=path)))
        self.assertEqual(list(json.loads(path.read_text())), ["small"])

    def test_one_disturbed_round_of_three_is_what_medians_are_for(self):
        rows = [[sample(), sample(disturbed=0.9, late_p99_ms=9.0), sample()]]
        found = comparison.noise_of(rows)
        self.assertEqual((found.waited, found.late_ms, found.latest_ms), (0.01, 0.1, 9.0))

    def test_where_the_load_shares_the_cpus_waiting_is_no_noise(self):
        rows = [[sample(disturbed=0.9, late_p99_ms=9.0, failed=1)]]
        self.assertEqual(comparison.noise_of(rows, shared=True), comparison.Noise(failed=0.001))


class Text(Case):

    def test_a_rate_that_is_not_reached_has_no_latencies_and_no_ratios(self):
        table = loads.table({"weir": [sample(rate=1000)],
                             "nginx": [sample(rate=1000, per_second=900.0)]})
        weir, nginx = table.splitlines()[2:]
        self.assertRegex(weir, r"^\| weir \| 10\.00 \| 10\.00-10\.00 \|  \| 2\.50 \| 1000 \| ")
        self.assertRegex(nginx, r"^\| nginx \| rate not reached \|  \|  \|  \| 900 \|  \|  \|")

    def test_a_thread_waits_no_longer_than_time_passes(self):
        before = {"1": (1.0, 1.0), "2": (1.0, 0.0)}
        after = {"1": (2.0, 1.9), "2": (1.5, 0.8), "3": (0.1, 0.7)}
        with mock.patch.object(rig, "thread_times", lambda root: after):
            ran, waited = rig.times_since(before, 1)
        self.assertAlmostEqual(ran, 1.6)
        self.assertAlmostEqual(waited, 0.9)

    def test_bars_of_one_unit_have_one_scale(self):
        drawn = plot.bars_svg("a < b", {"one": {"weir": 1.0}, "two": {"weir": 2.0},
                                        "other (MB)": {"weir": 100.0}})
        widths = [float(width) for width in re.findall(r'<rect x="\d+" y="\d+" width="([\d.]+)"',
                                                       drawn)]
        self.assertEqual(widths, [widths[1] / 2, widths[1], widths[1]])
        self.assertIn("prefers-color-scheme:dark", drawn)
        xml.etree.ElementTree.fromstring(drawn)


class Pages(Case):

    def test_every_suite_has_its_place(self):
        for each in main.COMPARISONS.values():
            text = each.page.read_text()
            self.assertEqual(text.count(f"<!-- bench {each.name}: begin -->"), 1, each.name)
            self.assertEqual(text.count(f"<!-- bench {each.name}: end -->"), 1, each.name)

    def test_readme_says_what_the_page_says(self):
        """Every row of its table is a part of a row there."""
        def rows(path):
            text = (ROOT / path).read_text()
            text = text.split("<!-- bench small: begin -->")[1].split("<!-- bench small: end")[0]
            text = text.split(loads.CLOSED.capitalize())[1].split("\n\n")[1]
            table = [[cell.strip() for cell in line.strip("|").split("|")]
                     for line in text.splitlines() if line.startswith("|")]
            return [dict(zip(table[0], row)) for row in table[2:]]

        part, whole = rows("README.md"), rows("docs/performance.md")
        self.assertEqual(len(part), len(whole))
        for mine, theirs in zip(part, whole):
            self.assertEqual(mine, {head: theirs[head] for head in mine})
