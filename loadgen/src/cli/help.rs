//! What --help says beyond the options, and which of a run's options the help of a command leaves out.

use clap::Command;

/// By their ids: refused by `replay`, since the log says what is sent, and when.
const REFUSED_BY_REPLAY: &[&str] = &[
    "rate",
    "ramp",
    "steps",
    "arrivals",
    "duration",
    "warmup",
    "scenario",
    "seed",
    "method",
    "path_list",
    "header_list",
];
/// By their ids: refused by `search`, which makes many runs and chooses their rates.
const REFUSED_BY_SEARCH: &[&str] = &["rate", "ramp", "steps", "requests", "csv", "html", "hdr_log"];

pub(super) const EXAMPLES: &str = "\
Examples:
  turnpike-loadgen http://127.0.0.1:8080/ --connections 64 --duration 30s
      Closed loop: as fast as 64 connections can go.
  turnpike-loadgen http://127.0.0.1:8080/ --connections 64 --duration 30s --rate 20000
      Open loop: 20,000 requests/s whatever the server does; a request's
      latency counts from the moment at which the schedule wanted it sent, so
      the time that it waits for a free connection is part of it.
  turnpike-loadgen http://127.0.0.1:8080/ --ramp 100:20000:60s --arrivals poisson --max-errors 1%
      A rate that rises, arrivals at random, an end when more than 1 % fail.
  turnpike-loadgen search http://127.0.0.1:8080/ --goal 'p99<5ms' --max-errors 0.1%
      The highest rate at which that holds.
  turnpike-loadgen compare before*.json --against after*.json --fail-on-regression 3%
      Whether runs that --json kept differ by more than noise.
  turnpike-loadgen http://127.0.0.1:8080/upload --method POST --body-bytes 10485760 -c 8 --json
  turnpike-loadgen http://127.0.0.1:8080/ --path-list routes.txt --expect-status 200
  turnpike-loadgen https://127.0.0.1:8443/ --insecure --no-keepalive --tls-resumption off
      Full TLS handshakes: a new connection for each request.
  turnpike-loadgen https://127.0.0.1:8443/ --insecure --http2 --streams 32 --connections 8
      HTTP/2, 256 requests at a time. Without TLS the server must know that
      HTTP/2 comes.
  turnpike-loadgen ws://127.0.0.1:8080/chat --message hello --connections 100 --rate 5000
      WebSocket: each message waits for the one that answers it. Messages
      count as replies, under status 101.
  turnpike-loadgen ws://127.0.0.1:8080/chat --hold --connections 10000 --connect-rate 2000 -d 1m
      Connections that only rest: each is counted as it opens, with its time
      since the ramp wanted it, and as it drops.
  turnpike-loadgen http://127.0.0.1:8080/prod --scenario shop.toml --connections 64 --duration 30s
      What a file says: weighted requests and flows with templates, values
      taken out of replies, checks, think time.
  turnpike-loadgen import-openapi api.yaml > scenario.toml
  turnpike-loadgen replay access.log http://127.0.0.1:8080 --speed 2

What is counted:
  A request belongs to the run if it began (open loop: was intended) after the
  warm-up and before the end. Requests in flight at the end get up to --grace
  to finish. The latencies are those of complete replies of any status;
  requests that time out, that are unfinished then or, in the open loop, still
  unsent at the end are counted with the time that they had waited, so that
  what was slowest isn't left out. Connections are opened before the run, and
  again when they are lost or have carried --requests-per-connection; the time
  that opening one takes (connecting, TLS handshake) is part of the latency of
  the request that it is opened for, and is reported apart as well.

Response and service time:
  The response time counts from when a request was intended, the service time
  from when it was sent. In the open loop the difference is the time that a
  request waited for a free connection. A closed loop intends nothing before
  the previous reply is there: its response time counts from when the
  connection was free, so that the two differ by the time that opening a
  connection takes only, and a server that stalls delays the requests behind
  it unseen. Use --rate to see that.

Errors, by cause:
  connect           no connection could be opened
  tls               the TLS handshake failed, or the session broke
  reset             the connection broke
  timeout           no complete reply within --timeout
  closed_early      the server closed before the reply's head was complete
  short_body        the server closed in the middle of the reply's body
  malformed         a reply that breaks the protocol's rules, or a limit
  stream_reset      HTTP/2: the server gave the request up
  goaway            HTTP/2: the server ended the connection with an error, or
                    twice before it took the request
  upgrade           the server opened no WebSocket
  websocket_closed  the server closed a WebSocket
  unexpected        a complete reply, but not the one that --expect-status and
                    its kin, or a scenario, ask for; without those, a reply of
                    any status is none

Exit status: 0 when at least one reply was complete and as expected, 1 when
none was, 2 for a wrong command line, 3 when the error budget was spent, 130
when a signal ended the run (Ctrl-C; the report is still written, a second one
quits).";

/// `command`, whose subcommands don't show what they refuse.
pub(super) fn shown(command: Command) -> Command {
    let hide = |names: &'static [&'static str]| {
        move |command: Command| {
            names.iter().fold(command, |command, name| command.mut_arg(name, |arg| arg.hide(true)))
        }
    };
    command
        .mut_subcommand("replay", hide(REFUSED_BY_REPLAY))
        .mut_subcommand("search", hide(REFUSED_BY_SEARCH))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::failure::Kind;

    #[test]
    fn a_command_shows_no_option_that_it_refuses() {
        let mut command = shown(Cli::command());
        command.clone().debug_assert();
        let mut help = |name: &str| {
            let found = command.find_subcommand_mut(name).unwrap();
            found.render_long_help().to_string()
        };
        let (replay, search) = (help("replay"), help("search"));
        for option in ["  -r, --rate", "--steps", "--path-list", "  -d, --duration"] {
            assert!(!replay.contains(option), "{option}");
        }
        assert!(replay.contains("--connections") && replay.contains("--requests "));
        assert!(!search.contains("--hdr-log") && search.contains("  -d, --duration"));
    }

    #[test]
    fn every_cause_of_an_error_is_explained() {
        for kind in Kind::ALL {
            assert!(EXAMPLES.contains(&format!("\n  {} ", kind.name())), "{}", kind.name());
        }
    }
}
