"""What weir may do once everything is open: another user, no new privileges, no core files."""

import glob
import os
import subprocess

from harness import BINARY, Case, SANITIZED, wait_until

USER = "nobody"


class Privileges(Case):

    def statuses(self, weir):
        """Of every thread: the fields of its status by name."""
        found = []
        for path in glob.glob(f"/proc/{weir.pid}/task/*/status"):
            with open(path, encoding="ascii") as file:
                found.append(dict(line.rstrip("\n").split(":\t", 1) for line in file
                                  if ":\t" in line))
        return found

    def core_limit(self, weir):
        with open(f"/proc/{weir.pid}/limits", encoding="ascii") as limits:
            line = next(line for line in limits if line.startswith("Max core file size"))
        return line.split()[4]

    def test_every_thread_is_confined(self):
        weir = self.weir(self.origin(), runtime={"workers": 2})
        for status in self.statuses(weir):
            self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(self.core_limit(weir), "1")  # The only one that stops a core handler too.

    def test_core_files_when_asked_for(self):
        if SANITIZED:
            return  # ASan forbids core files itself: its shadow would fill a disk.
        weir = self.weir(self.origin(), runtime={"core_dumps": True},
                         prefix=["prlimit", "--core=4096:4096"])
        self.assertEqual(self.core_limit(weir), "4096")

    def test_a_change_of_user_leaves_it_dumpable_only_if_asked_for(self):
        """What is not belongs to root in /proc."""
        if SANITIZED or os.geteuid() != 0:
            return
        uid = int(subprocess.check_output(["id", "-u", USER]))
        for core_dumps, owner in ((False, 0), (True, uid)):
            with self.subTest(core_dumps=core_dumps):
                weir = self.weir(self.origin(), runtime={"user": USER, "core_dumps": core_dumps})
                self.assertEqual(os.stat(f"/proc/{weir.pid}/fd").st_uid, owner)
                self.assertEqual(self.client(weir).get().status, 200)
                weir.terminate()

    def test_becomes_the_user_and_serves(self):
        if os.geteuid() != 0:
            return  # Only root can become somebody.
        weir = self.weir(self.origin(), runtime={"workers": 2, "user": USER})
        uid = int(subprocess.check_output(["id", "-u", USER]))
        for status in self.statuses(weir):
            self.assertEqual(set(status["Uid"].split()), {str(uid)})
            self.assertNotIn("0", status["Gid"].split())
            self.assertNotIn("0", status["Groups"].split())
        self.assertEqual(self.client(weir).get().status, 200)
        weir.terminate()

    def test_users_that_cannot_be(self):
        """One line that says what to do, exit code 1."""
        cases = [({"user": "no-such-user"}, "no user `no-such-user`")]
        if os.geteuid() == 0:
            cases.append(({"user": USER, "group": "no-such-group"}, "no group `no-such-group`"))
        else:
            cases.append(({"user": "root"}, "only root can change that"))
        for runtime, text in cases:
            lines = "".join(f'{key} = "{value}"\n' for key, value in runtime.items())
            config = (f'[runtime]\n{lines}[listener.web]\nbind = "127.0.0.1:{self.free_port()}"\n'
                      f'[[route]]\nbackend = "app"\n[backend.app]\n'
                      f'servers = ["127.0.0.1:{self.free_port()}"]\n')
            weir = self.run_config(config, [], ready=False)
            self.assertEqual(weir.wait(), 1)
            self.assertIn(text, weir.err)
            self.weirs.remove(weir)

    def test_says_what_it_can_no_longer_do(self):
        """At the start, not when the log is rotated at night."""
        if os.geteuid() != 0:
            return  # As above.
        log = self.path("access.log")
        weir = self.weir(self.origin(), runtime={"user": USER}, access_log=log)
        wait_until(lambda: "SIGUSR1 will keep the old file" in weir.output, 5)

    def test_the_binary_is_built_to_fail_early(self):
        """Position independent, relocations read-only and bound at start, no executable stack,
        copies and stack frames that are checked."""
        text = subprocess.check_output(["readelf", "-Wldh", BINARY], text=True)
        self.assertRegex(text, r"Type:\s+DYN \(Position-Independent Executable")
        self.assertRegex(text, "GNU_RELRO")
        self.assertRegex(text, r"\(FLAGS_1\).*NOW.*PIE")
        self.assertRegex(text, r"GNU_STACK\s.*\sRW\s")
        if SANITIZED:
            return  # Sanitizers check more than _FORTIFY_SOURCE does, and it would be in their way.
        text = subprocess.check_output(["readelf", "-W", "--dyn-syms", BINARY], text=True)
        self.assertRegex(text, r"\bUND __stack_chk_fail\b")
        self.assertRegex(text, r"\bUND __\w+_chk\b")
