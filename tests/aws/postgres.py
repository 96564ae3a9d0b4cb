"""A PostgreSQL for the tests, from Debian's package: every Turnpike has its store in a database of its own there, when
TURNPIKE_TEST_STORE=postgres."""

import atexit
import functools
import itertools
import os
import pathlib
import pwd
import subprocess
import tempfile

USER = "turnpike"
DEADLINE_S = 60

# Stops the server, and takes the cluster away, at the end of a pipe that ends when the tests do, however they end.
KEEPER = """
dir=$1 bin=$2
"$bin/initdb" -D "$dir/data" -U "$3" -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/log" 2>&1 &&
    "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-k $dir -c listen_addresses='' -c fsync=off" start \\
        >>"$dir/log" 2>&1 && echo ready || { cat "$dir/log" >&2; echo failed; }
read -r _
"$bin/pg_ctl" -D "$dir/data" -w -m immediate stop >>"$dir/log" 2>&1
rm -rf "$dir"
"""


def store_url():
    """The URL of a new database; None when the tests run on SQLite."""
    kind = os.environ.get("TURNPIKE_TEST_STORE") or "sqlite"
    if kind == "sqlite":
        return None
    if kind != "postgres":
        raise ValueError(f"TURNPIKE_TEST_STORE is sqlite or postgres, not {kind}")
    return cluster().database()


@functools.cache
def cluster():
    running = Cluster()
    atexit.register(running.stop)
    return running


class Cluster:
    """A temporary server behind a Unix socket."""

    def __init__(self):
        versions = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
        self.bin = max(versions, key=lambda path: int(path.parent.name), default=None)
        if self.bin is None:
            raise FileNotFoundError("no /usr/lib/postgresql: scripts/test installs Debian's postgresql")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-pg-"))
        # It refuses to run as root; then it runs as Debian's user for it.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
        self.names = (f"d{number}" for number in itertools.count())
        self.keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "keeper", self.directory, self.bin, USER], cwd=self.directory, process_group=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            user=self.user, group=self.user, extra_groups=[] if self.user else None)
        assert self.keeper.stdout.readline() == "ready\n", "PostgreSQL doesn't start"

    def database(self):
        name = next(self.names)
        self._run([self.bin / "createdb", "-h", self.directory, "-U", USER, name])
        return f"postgres://{USER}@/{name}?host={self.directory}"

    def stop(self):
        self.keeper.stdin.close()
        self.keeper.wait(DEADLINE_S)
        self.keeper.stdout.close()

    @staticmethod
    def _run(command):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
