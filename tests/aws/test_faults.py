"""Either side is killed at any moment: the service goes on, and nothing acknowledged is lost."""

import ctypes
import os
import shutil
import struct
import threading

import pytest

from conftest import client
from turnpike import BINARIES, Process, fields, wait_for


def quick_api(running, origin, path=""):
    return client("apigatewayv2", running).create_api(
        Name="api", ProtocolType="HTTP", Target=f"{origin.url}{path}"
    )["ApiId"]


def is_200(reply):
    return reply.status == 200


def test_the_gateway_outlives_control_and_catches_up(own_turnpike, origin):
    first = quick_api(own_turnpike, origin)
    own_turnpike.wait_for(first, "/", is_200)
    own_turnpike.control.kill()
    assert own_turnpike.ask(first, "/").status == 200
    own_turnpike.start_control()
    assert own_turnpike.ask(first, "/").status == 200
    second = quick_api(own_turnpike, origin)
    own_turnpike.wait_for(second, "/", is_200)


def test_the_gateway_starts_without_control(own_turnpike, origin):
    api_id = quick_api(own_turnpike, origin)
    own_turnpike.wait_until_acknowledged()
    own_turnpike.control.kill()
    own_turnpike.gateway.kill()
    own_turnpike.start_gateway()
    own_turnpike.wait_for(api_id, "/", is_200)


def test_a_gateway_that_was_away_catches_up(own_turnpike, origin):
    first = quick_api(own_turnpike, origin)
    own_turnpike.wait_for(first, "/", is_200)
    own_turnpike.gateway.kill()
    second = quick_api(own_turnpike, origin)
    client("apigatewayv2", own_turnpike).delete_api(ApiId=first)
    own_turnpike.start_gateway()
    own_turnpike.wait_for(second, "/", is_200)
    assert own_turnpike.ask(first, "/").status in (403, 404)


def test_what_was_acknowledged_survives_a_kill(own_turnpike, origin):
    """Killed at an arbitrary moment of a stream of changes: each call that returned is still there."""
    acknowledged = []

    def create_until_killed():
        v2 = client("apigatewayv2", own_turnpike)
        try:
            while True:
                acknowledged.append(v2.create_api(Name="api", ProtocolType="HTTP", Target=origin.url)["ApiId"])
                if len(acknowledged) == 10:
                    enough.set()
        except Exception:  # noqa: BLE001 (the kill shows itself in many ways)
            enough.set()

    for _ in range(3):
        enough = threading.Event()
        acknowledged.clear()
        writer = threading.Thread(target=create_until_killed)
        writer.start()
        enough.wait()
        own_turnpike.control.kill()
        writer.join()
        assert len(acknowledged) >= 10
        own_turnpike.start_control()
        v2 = client("apigatewayv2", own_turnpike)
        kept = {api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]}
        assert kept.issuperset(acknowledged)
        for api_id in acknowledged:
            own_turnpike.wait_for(api_id, "/", is_200)


def test_status_shows_which_gateway_serves_which_version(own_turnpike, origin):
    before, _ = own_turnpike.wait_until_acknowledged()
    quick_api(own_turnpike, origin)
    after, _ = own_turnpike.wait_until_acknowledged()
    assert after > before
    own_turnpike.gateway.kill()
    wait_for(own_turnpike.status, lambda status: status == (after, ["no gateway is connected"]))


def test_two_controls_do_not_share_a_directory(own_turnpike):
    second = Process("turnpike-control", "serve", "--listen", "127.0.0.1:0", "--data-dir", own_turnpike.directory)
    try:
        assert second.child.wait(30) != 0
    finally:
        second.kill()
    assert str(own_turnpike.directory) in second.logged()


def without_io_uring():
    """Denies io_uring's system calls to this process, as the seccomp profiles of container runtimes do."""
    load, jump_if_equal, give_back, allow, deny = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000 | 1  # EPERM
    setup, enter, register = 425, 426, 427
    program = [
        (load, 0, 0, 0),
        (jump_if_equal, 3, 0, setup),
        (jump_if_equal, 2, 0, enter),
        (jump_if_equal, 1, 0, register),
        (give_back, 0, 0, allow),
        (give_back, 0, 0, deny),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    set_no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((set_no_new_privileges, 1, 0, 0, 0), (set_seccomp, mode_filter, filter_, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def test_epoll_serves_where_io_uring_is_denied(own_turnpike, origin):
    own_turnpike.gateway.kill()
    own_turnpike.start_gateway(preexec_fn=without_io_uring)
    assert own_turnpike.driver == "epoll"
    wait_for(own_turnpike.gateway.logged, lambda logged: "io_uring is refused" in logged)
    api_id = quick_api(own_turnpike, origin)
    own_turnpike.wait_for(api_id, "/", is_200)
    for size in (0, 1, 100_000, 5_000_000):
        reply = own_turnpike.ask(api_id, "/", "POST", b"x" * size)
        assert (reply.status, len(reply.json["body"])) == (200, size)
    assert own_turnpike.gateway.terminate() == 0


def test_io_uring_can_be_required(tmp_path):
    arguments = ("--listen", "127.0.0.1:0", "--tls-listen", "", "--admin-listen", "127.0.0.1:0", "--data-dir", tmp_path / "gateway")
    gateway = Process("turnpike-gateway", *arguments, "--require-io-uring", preexec_fn=without_io_uring)
    try:
        assert gateway.child.wait(30) != 0
    finally:
        gateway.kill()
    assert "io_uring" in gateway.logged()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")
def test_an_unprivileged_user_can_run_the_gateway(tmp_path):
    nobody = 65534
    # Copied: where the build stands, others may not look.
    directory = tmp_path / "open"
    directory.mkdir()
    shutil.copy(BINARIES / "turnpike-gateway", directory / "turnpike-gateway")
    os.chown(directory, nobody, nobody)
    for parent in [directory, *directory.parents]:
        if parent.stat().st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o111)
    arguments = ("--listen", "127.0.0.1:0", "--tls-listen", "", "--admin-listen", "127.0.0.1:0", "--cores", "1")
    gateway = Process(
        directory / "turnpike-gateway",
        *(*arguments, "--data-dir", directory / "gateway", "--exit-with-parent"),
        user=nobody,
        group=nobody,
        extra_groups=[],
    )
    try:
        assert fields(gateway.line("turnpike-gateway ready "))["listen"]
        assert gateway.terminate() == 0
    finally:
        gateway.kill()
