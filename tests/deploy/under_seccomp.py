"""Runs a command under a container runtime's seccomp profile: under_seccomp.py PROFILE [--deny CALL]... -- COMMAND...

Loads the profile's filter into this process by libseccomp, as a runtime does, and becomes the command.
"""

import ctypes
import json
import os
import sys

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
UNKNOWN = -1


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--")
    profile_path, options, command = arguments[0], arguments[1:split], arguments[split + 1 :]
    denied = set(options[1::2])
    assert options[0::2] == ["--deny"] * len(denied), options
    with open(profile_path, encoding="utf-8") as file:
        profile = json.load(file)
    load(profile, denied)
    os.execvp(command[0], command)


def load(profile, denied):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    context = library.seccomp_init(ERRNO | profile["defaultErrnoRet"])
    assert context, "libseccomp can't be initialised"
    for group in profile["syscalls"]:
        assert group["action"] == "SCMP_ACT_ALLOW" and "args" not in group, group
        for name in group["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            # Calls of other architectures, which libseccomp knows by negative numbers, or newer than it is.
            if number >= 0 and name not in denied:
                check(library.seccomp_rule_add(context, ALLOW, number, 0), name)
    check(library.seccomp_load(context), "loading")


def check(result, what):
    if result != 0:
        raise OSError(-result, f"libseccomp, {what}: {os.strerror(-result)}")


main()
