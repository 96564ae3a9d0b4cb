"""Pebble, an ACME authority for tests, with a name server that leads every name to this host."""

import contextlib
import json
import os
import socket
import subprocess

import children
from pki import issue, pem
from turnpike import DEADLINE_S, Turnpike, wait_for


def free_port():
    """A port that nothing listens on; neither program can be told to choose."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Pebble:
    """Validates names at `http_port` of this host."""

    def __init__(self, directory, http_port, validity_s=None):
        self.directory, self.http_port, self.validity_s = directory, http_port, validity_s
        self.processes = []

    def __enter__(self):
        # It serves its directory with a certificate of an authority that nobody knows.
        root = issue("the directory's authority", authority=True)
        own = issue("localhost", ["localhost"], by=root)
        self.ca_file = self._write("directory-ca.pem", root.certificate)
        address, dns, management = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.directory_url = f"https://localhost:{address.split(':')[1]}/dir"
        of_roots = f"127.0.0.1:{free_port()}"
        self.management_url = f"https://localhost:{of_roots.split(':')[1]}"
        settings = {
            "listenAddress": address,
            "managementListenAddress": of_roots,
            "certificate": self._write("directory.pem", own.certificate),
            "privateKey": self._write("directory-key.pem", pem(own.key)),
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "domainBlocklist": ["blocked.example.com"],
        }
        if self.validity_s:
            settings["certificateValidityPeriod"] = self.validity_s
        config = self._write("pebble.json", json.dumps({"pebble": settings}).encode())
        try:
            self._start(
                "pebble-challtestsrv", "-dns01", dns, "-management", management, "-defaultIPv4", "127.0.0.1",
                *("-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""))
            self._start("pebble", "-config", config, "-dnsserver", dns)
            for listener in (address, of_roots, management):
                wait_for(lambda listener=listener: self._answers(listener), bool)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait(DEADLINE_S)

    def logged(self):
        return (self.directory / "pebble.log").read_text()

    @property
    def environment(self):
        """What control is to be told."""
        return {
            "TURNPIKE_CONTROL_ACME_DIRECTORY_URL": self.directory_url,
            "TURNPIKE_CONTROL_ACME_CA_FILE": self.ca_file,
            "TURNPIKE_CONTROL_ACME_CONTACT": "operator@example.com",
            "TURNPIKE_CONTROL_ACME_RETRY_S_MIN": "1",
        }

    def _write(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def _start(self, *command):
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        with open(self.directory / f"{command[0]}.log", "w") as log:
            self.processes.append(children.start(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _answers(self, address):
        assert all(process.poll() is None for process in self.processes), f"see the logs in {self.directory}"
        host, port = address.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=DEADLINE_S).close()
        except ConnectionRefusedError:
            return False
        return True


@contextlib.contextmanager
def with_authority(tmp_path, validity_s=None, http_port=None, **environment):
    """Control, a gateway, and an authority that looks at the gateway's port, or at another."""
    running = Turnpike(tmp_path / "turnpike")
    try:
        # The authority has to know the gateway's port, and control the authority: the gateway comes first, alone.
        running.directory.mkdir()
        running.start_control()
        running.start_gateway()
        running.control.terminate()
        running.control.kill()
        port = http_port or int(running.listen.split(":")[1])
        with Pebble(tmp_path, port, validity_s) as authority:
            running.environment = {**authority.environment, **environment}
            running.start_control()
            running.wait_until_acknowledged()
            yield running, authority
    finally:
        running.__exit__()
