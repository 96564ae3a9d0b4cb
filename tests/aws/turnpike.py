"""Turnpike's processes and an origin, as the tests start, ask and kill them."""

import http.client
import http.server
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import children
from postgres import store_url

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug"

# Whatever must happen happens within this time; only a failing test waits so long.
DEADLINE_S = 30

ACCESS_KEY_ID = "AKIATURNPIKETESTS000"
SECRET_ACCESS_KEY = "a-secret-of-the-tests-that-opens-nothing"


class Process:
    """A child in a process group of its own, which is killed by id when the test is over, failed or not, and which the
    kernel kills when the tests themselves are."""

    def __init__(self, name, *arguments, environment=None, **popen):
        binary = BINARIES / name
        if not binary.exists():
            raise FileNotFoundError(f"{binary} isn't built: run scripts/test, or `cargo build --workspace --bins`")
        self.name = name
        self.lines = queue.Queue()
        self.log = []
        self.child = children.start(
            [binary, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            **popen,
        )
        self.readers = [
            threading.Thread(target=self._read, args=(self.child.stdout, self.lines.put), daemon=True),
            threading.Thread(target=self._read, args=(self.child.stderr, self.log.append), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, take):
        for line in stream:
            take(line.rstrip("\n"))
        take(None)

    def line(self, prefix):
        """The next line of standard output that begins with `prefix`."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                line = None
            else:
                if line is None:
                    # It has ended: what it said last is still on its way.
                    self.readers[1].join(DEADLINE_S)
            if line is None:
                raise AssertionError(f"{self.name} printed no line '{prefix}…'; it logged:\n{self.logged()}")
            if line.startswith(prefix):
                return line

    def logged(self):
        return "\n".join(line for line in self.log if line is not None)

    def terminate(self):
        self.child.terminate()
        return self.child.wait(DEADLINE_S)

    def kill(self):
        """Kills the whole group: what the child itself has started ends as well."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait(DEADLINE_S)
        self.child.stdin.close()
        for reader in self.readers:
            reader.join(DEADLINE_S)
        self.child.stdout.close()
        self.child.stderr.close()


def fields(line):
    """The `name=value` words of a ready line."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


class Turnpike:
    """Control and one gateway, which can be killed and started again on the same data."""

    access_key_id = ACCESS_KEY_ID
    secret_access_key = SECRET_ACCESS_KEY

    def __init__(self, directory):
        self.directory = directory
        self.control = self.gateway = None
        url = store_url()
        self.store = {"TURNPIKE_CONTROL_STORE": url} if url else {}
        self.environment = {}
        self.listen = self.tls = self.api = "127.0.0.1:0"

    def __enter__(self):
        try:
            self.start_control()
            self.start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.gateway, self.control):
            if process:
                process.kill()
                print(f"--- log of {process.name} ---\n{process.logged()}", file=sys.stderr)

    @property
    def root_key(self):
        return {
            "TURNPIKE_ROOT_ACCESS_KEY_ID": self.access_key_id,
            "TURNPIKE_ROOT_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    @property
    def exports(self):
        """The variables of the AWS CLI, as `turnpike-control up` prints them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.api_url,
        }

    def status(self):
        """The newest version, and the text of each gateway's line."""
        newest, *lines = self.status_lines()
        return int(newest.rsplit(" ", 1)[1]), [line for line in lines if line.startswith(("gateway ", "no gateway "))]

    def status_lines(self):
        """What `turnpike-control status` says."""
        done = subprocess.run(
            [BINARIES / "turnpike-control", "status", "--listen", self.api, "--data-dir", self.directory],
            env={**os.environ, **self.root_key},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def wait_until_acknowledged(self):
        """Waits until the gateway serves the newest version and has it on its disk."""

        def up_to_date(status):
            newest, gateways = status
            return len(gateways) == 1 and gateways[0].endswith(f" serves version {newest}")

        return wait_for(self.status, up_to_date)

    def start_control(self):
        """On the port that it had before, if it ran before: its clients know that one."""
        arguments = ("serve", "--listen", self.api, "--data-dir", self.directory)
        self.control = Process("turnpike-control", *arguments, environment={**self.root_key, **self.store, **self.environment})
        ready = fields(self.control.line("turnpike-control ready "))
        self.api, self.publish_socket = ready["api"], ready["publish"]

    def start_gateway(self, **popen):
        self.gateway = Process(
            "turnpike-gateway",
            *("--listen", self.listen, "--tls-listen", self.tls, "--admin-listen", "127.0.0.1:0"),
            *("--cores", "1", "--exit-with-parent"),
            *("--data-dir", self.directory / "gateway", "--publish-socket", self.publish_socket),
            **popen,
        )
        ready = fields(self.gateway.line("turnpike-gateway ready "))
        self.listen, self.admin, self.driver = ready["listen"], ready["admin"], ready["driver"]
        self.tls = ready["tls"]

    @property
    def api_url(self):
        return f"http://{self.api}"

    def ask(self, api_id, path, method="GET", body=None, headers=None):
        """One request through the gateway, at the API's own host."""
        return ask(self.listen, f"{api_id}.execute-api.us-east-1.localhost", path, method, body, headers)

    def wait_for(self, api_id, path, wanted, method="GET", headers=None):
        """Asks until the reply is as wanted: a change is live soon after its API call has returned."""
        return wait_for(lambda: self.ask(api_id, path, method, headers=headers), wanted)


def wait_for(ask_once, wanted):
    """Asks until the reply is as wanted, which it returns."""
    end = time.monotonic() + DEADLINE_S
    while not wanted(reply := ask_once()):
        assert time.monotonic() < end, f"still gives {reply}"
    return reply


class Reply:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text!r}"


def ask(address, host, path, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body, {"Host": host, **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


class Origin:
    """An upstream that says what it saw, and under which name it is known."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are sent apart: the second must not wait for the first's acknowledgement.
    disable_nagle_algorithm = True

    def _answer(self):
        length = int(self.headers.get("Content-Length", 0))
        seen = {
            "method": self.command,
            "target": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode(),
        }
        text = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, *_):
        pass
