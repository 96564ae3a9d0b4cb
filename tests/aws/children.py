"""Children that end with the tests, however those end."""

import concurrent.futures
import os
import subprocess

# The kernel kills the child with the thread that has started it (PR_SET_PDEATHSIG). The parent may be gone before the
# child could ask for that; then the child goes too.
LAUNCHER = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", '[ "$PPID" -eq "$1" ] || exit 1; shift; exec "$@"', "sh")

# Starts all children: it lives as long as the interpreter, and a test's own threads needn't.
STARTER = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def start(command, **popen):
    """A child in a process group of its own; its id is the command's, the launcher is gone by then."""
    launched = [*LAUNCHER, str(os.getpid()), *command]
    return STARTER.submit(subprocess.Popen, launched, process_group=0, **popen).result()
