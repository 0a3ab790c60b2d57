"""What a request costs in system calls: recv, send, recv, send and a share of epoll_wait."""

import time

from harness import Case, strace_counts, wrk

REQUESTS = 10_000
RECEIVE = ("recvfrom", "read", "recvmsg", "readv")
SEND = ("sendto", "write", "sendmsg", "writev")
TIMERS = ("timerfd_settime", "timer_settime", "setitimer", "clock_gettime", "gettimeofday",
          "nanosleep", "clock_nanosleep", "alarm")


class SystemCalls(Case):

    def steady(self, weir, run):
        """Counts of a run after a first one that opened the connections and filled the slabs."""
        run(200)
        begin = time.monotonic()
        with strace_counts(weir.pid) as trace:
            run(REQUESTS)
        # The threads' own waits: each looks at its clocks now and then, however slow the run is.
        trace.own_waits = 20 * (time.monotonic() - begin)
        return trace

    def check(self, trace, requests, receives=2):
        slack = requests // 100  # For the edges of the run, and for the rare odd wake-up.
        text = str(trace.calls)
        self.assertGreaterEqual(trace.sum(*RECEIVE), 2 * requests - slack, text)
        self.assertLessEqual(trace.sum(*RECEIVE), receives * requests + slack, text)
        self.assertGreaterEqual(trace.sum(*SEND), 2 * requests - slack, text)
        self.assertLessEqual(trace.sum(*SEND), 2 * requests + slack, text)
        self.assertLessEqual(trace.sum("epoll_ctl"), 20, text)
        self.assertLessEqual(trace.sum(*TIMERS), 20, text)
        self.assertLessEqual(trace.sum("epoll_wait", "epoll_pwait", "epoll_pwait2"),
                             2 * requests + slack + trace.own_waits, text)
        self.assertLessEqual(trace.sum("futex"), slack, text)
        known = trace.sum(*RECEIVE, *SEND, *TIMERS, "epoll_ctl", "epoll_wait", "epoll_pwait",
                          "epoll_pwait2", "futex", "restart_syscall")
        self.assertLessEqual(sum(trace.calls.values()) - known, slack, text)

    def test_one_keep_alive_client(self):
        server = self.nginx()
        weir = self.plain(server)
        client = self.client(weir)

        def run(count):
            for _ in range(count):
                client.get("/name")

        self.check(self.steady(weir, run), REQUESTS)

    def test_small_bodies_ride_in_one_send(self):
        """A small body goes out with its head. POST, which could not be tried again, costs one
        look at the kept connection more."""
        weir = self.plain(self.nginx(extra="    location = /put { return 200 \"done\"; }"))
        client = self.client(weir)
        for method, receives in (b"PUT", 2), (b"POST", 3):
            message = method + (b" /put HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" +
                                b"x" * 100)

            def run(count, message=message):
                for _ in range(count):
                    client.send(message).response()

            self.check(self.steady(weir, run), REQUESTS, receives)

    def test_many_clients_share_the_waiting(self):
        """With work at hand one epoll_wait serves many requests."""
        server = self.nginx()
        weir = self.weir(server)
        url = f"http://127.0.0.1:{weir.port}/name"

        def requests():
            return weir.metric("weir_http_requests_total", code="2xx")

        wrk(url, 2_000, 32)
        before = requests()
        with strace_counts(weir.pid) as trace:
            load = wrk(url, 5_000, 32, 120)
        done = int(requests() - before)
        self.assertEqual(load.failures, [])
        text = f"{done} requests, {trace.calls}"
        # wrk opens and closes its 32 connections each round, which is not steady state.
        self.assertLessEqual(trace.sum(*RECEIVE), 2.1 * done + 1_000, text)
        self.assertLessEqual(trace.sum(*SEND), 2.1 * done + 1_000, text)
        self.assertLess(trace.sum("epoll_wait", "epoll_pwait", "epoll_pwait2"), 1.2 * done, text)
        self.assertLessEqual(trace.sum(*TIMERS), 20, text)
