"""What the tests start ends with them."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import threading

from turnpike import DEADLINE_S, TOP, Process, fields, wait_for

# A test run of its own: it starts both processes, says who they are, and waits to be killed.
RUN = """
import pathlib, sys
from turnpike import Turnpike
with Turnpike(pathlib.Path(sys.argv[1])) as running:
    print(running.control.child.pid, running.gateway.child.pid, flush=True)
    sys.stdin.read()
"""


def has_ended(pidfd):
    """Waits for it; a process that nobody has reaped yet has ended too."""
    return bool(select.select([pidfd], [], [], DEADLINE_S)[0])


def test_children_end_with_a_run_that_is_killed(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path], cwd=TOP / "tests" / "aws", process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pidfds = []
    try:
        pids = [int(pid) for pid in run.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        assert len(pidfds) == 2 and all(os.getpgid(pid) == pid for pid in pids)
        os.kill(run.pid, signal.SIGKILL)
        assert all(has_ended(pidfd) for pidfd in pidfds)
    finally:
        run.kill()
        run.wait(DEADLINE_S)
        for pidfd in pidfds:
            if not select.select([pidfd], [], [], 0)[0]:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        run.stdin.close()
        run.stdout.close()


def test_children_outlive_the_thread_that_has_started_them(tmp_path):
    started = []

    def start():
        started.append(Process("turnpike-control", "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path))
        # Ready, and so past the launcher.
        assert fields(started[0].line("turnpike-control ready "))["api"]

    thread = threading.Thread(target=start)
    thread.start()
    own = pathlib.Path(f"/proc/self/task/{thread.native_id}")
    thread.join()
    [control] = started
    try:
        wait_for(own.exists, lambda exists: not exists)
        assert control.terminate() == 0
    finally:
        control.kill()
