# Sourced by the scripts beside it: what a fresh Debian with only the Rust toolchain still lacks.
# Every function returns at once when there is nothing to do, so that a second run costs nothing.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

need_cargo() {
    command -v cargo >/dev/null && return
    [ -x "$HOME/.cargo/bin/cargo" ] || die "cargo is missing: install the Rust toolchain (rust-toolchain.toml names the version)"
    PATH="$HOME/.cargo/bin:$PATH"
}

# Installs the Debian packages given, as root or by sudo.
install_packages() {
    command -v apt-get >/dev/null || die "missing: $*; this is no Debian, so install them by hand and run this again"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || die "missing: $*; run 'apt-get install $*' as root and then this again"
        as_root=(sudo -n)
    fi
    say "installing $*"
    "${as_root[@]}" apt-get update -q </dev/null >&2 || die "apt-get update failed; missing: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@" </dev/null >&2 || die "apt-get could not install: $*"
}

# The C compiler that builds the bundled SQLite, and the linker that rustc calls.
need_compiler() {
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

# The servers that requests are smuggled to in the tests.
need_origins() {
    local missing=()
    [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing+=(nginx)
    command -v python3 >/dev/null || missing+=(python3)
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# A client that decodes what it has asked for in a coding.
need_curl() {
    command -v curl >/dev/null || install_packages curl
}

# curl and nghttp2's tools, which the suites of HTTP/2 drive.
need_http2_clients() {
    command -v curl >/dev/null && command -v nghttp >/dev/null && command -v h2load >/dev/null &&
        { [ -x /usr/sbin/nghttpd ] || command -v nghttpd >/dev/null; } ||
        install_packages curl nghttp2-client nghttp2-server
}

# OpenSSL's client and testssl.sh, which the suite of TLS drives.
need_tls_clients() {
    local missing=()
    command -v openssl >/dev/null || missing+=(openssl)
    command -v curl >/dev/null || missing+=(curl)
    command -v testssl >/dev/null || missing+=(testssl.sh bsdextrautils dnsutils procps)
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# What checks the systemd units, and loads seccomp profiles.
need_deploy_tools() {
    local missing=()
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    command -v python3 >/dev/null || missing+=(python3)
    command -v setpriv >/dev/null && command -v prlimit >/dev/null || missing+=(util-linux)
    { PATH="$PATH:/usr/sbin:/sbin" ldconfig -p | grep -q 'libseccomp\.so\.2'; } || missing+=(libseccomp2)
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# A Python that can make a virtual environment, pip included (Debian keeps ensurepip in python3-venv).
need_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        die "$(command -v python3) has no ensurepip: put a Python with the venv module first in PATH"
}

# Makes .venv, which holds what tests/aws/requirements.txt pins; made anew when that file changes.
need_venv() {
    local venv=$1 requirements=$2 stamp=$1/requirements.stamp
    if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$stamp"; then
        return
    fi
    need_python
    say "making ${venv##*/} from ${requirements#"$PWD"/}"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements" </dev/null ||
        die "pip could not install $requirements"
    cp "$requirements" "$stamp"
}

# A certificate authority that speaks ACME, for tests, and the name server that goes with it.
need_pebble() {
    command -v pebble >/dev/null && command -v pebble-challtestsrv >/dev/null || install_packages pebble
}

# The server that several control processes can share a store in; tests start clusters of their own.
need_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || install_packages postgresql
}

# The server that several gateways can share throttles in; tests start their own, and the system's stays as it is.
need_redis() {
    command -v redis-server >/dev/null || install_packages redis-server
    command -v setpriv >/dev/null || install_packages util-linux
}

# Node.js, which runs the JavaScript client that GetSdk makes.
need_node() {
    command -v node >/dev/null || install_packages nodejs
}
