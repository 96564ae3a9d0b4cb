//! How runs go: their schedules, what ends them, and what a terminal shows meanwhile.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{command, hello, run, serve};
use turnpike_loadgen::report::{Ending, Report};

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

fn report(output: &Output) -> Report {
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Runs against a server that answers everything.
fn measured(args: &[&str]) -> Report {
    let url = url(hello());
    let output = run(&[&[url.as_str(), "-t", "2", "-c", "4", "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    report(&output)
}

/// A server that reads for ever and answers nothing; tells of every connection's first bytes.
fn silent() -> (SocketAddr, Receiver<()>) {
    let (begun, first_bytes) = channel();
    let address = serve(move |mut stream| {
        let mut byte = [0; 1];
        if stream.read_exact(&mut byte).is_ok() {
            // The test may have stopped looking.
            let _ = begun.send(());
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    (address, first_bytes)
}

#[test]
fn schedules_send_exactly_what_they_say() {
    // The first request of each schedule is due at once, so a whole area under the rate is that many requests.
    let cases: [(&[&str], u64); 4] = [
        (&["--rate", "500", "-d", "200ms"], 100),
        (&["--ramp", "0:1000:400ms"], 200),
        (&["--steps", "100:200ms,0:100ms,300:100ms"], 50),
        (&["--ramp", "100:300:200ms", "-d", "400ms", "--warmup", "100ms"], 100),
    ];
    for (args, sent) in cases {
        let report = measured(args);
        // A machine that is busy elsewhere may leave some of the last ones unsent.
        let all = report.replies + report.unsent + report.unfinished;
        assert_eq!((all, report.loop_kind.as_str()), (sent, "open"), "{args:?}");
        assert_eq!(report.ended_by, Ending::Duration);
    }
}

#[test]
fn poisson_arrivals_are_those_of_the_seed() {
    let sent = |seed: &str| {
        let args = ["--rate", "2000", "-d", "250ms", "--arrivals", "poisson", "--seed", seed];
        let report = measured(&args);
        // A machine that is busy elsewhere may leave some of the last ones unsent.
        report.replies + report.unsent
    };
    let of_one = sent("1");
    assert_eq!(of_one, sent("1"));
    // 500 are expected with a standard deviation of 22.
    assert!((350..650).contains(&of_one) && (350..650).contains(&sent("2")), "{of_one}");
}

#[test]
fn an_error_budget_ends_a_run_with_a_word_and_a_status() {
    let address = serve(|mut stream| {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            let reply = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    });
    let url = url(address);
    for budget in ["50", "10%"] {
        let args = [
            &url,
            "-c",
            "2",
            "-d",
            "60s",
            "--rate",
            "1000",
            "--expect-status",
            "200",
            "--max-errors",
            budget,
        ];
        let output = run(&[&args[..], &["--json"]].concat());
        let report = report(&output);
        assert_eq!((output.status.code(), report.ended_by), (Some(3), Ending::ErrorBudget), "{budget}");
        assert!(report.errors["unexpected"] > 50 && report.duration_s < 60.0, "{:?}", report.errors);
        let warned = format!("the error budget is spent: {}", report.failed());
        assert!(report.warnings.iter().any(|warning| warning.starts_with(&warned)), "{:?}", report.warnings);
    }
    // A run that is over before anybody looked is judged as well.
    let output = run(&[&url, "-c", "1", "-n", "3", "--expect-status", "200", "--max-errors", "2", "--json"]);
    assert_eq!((output.status.code(), report(&output).ended_by), (Some(3), Ending::Requests));
    let output = run(&[&url, "-c", "1", "-n", "3", "--max-errors", "0", "--json"]);
    assert_eq!((output.status.code(), report(&output).budget_spent), (Some(0), Some(false)));
}

#[test]
fn what_is_in_flight_at_the_end_has_its_grace() {
    let address = serve(|mut stream| {
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            std::thread::sleep(Duration::from_millis(600));
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let url = url(address);
    for (grace, replies) in [("30s", 1), ("0s", 0)] {
        let args = [&url, "-t", "1", "-c", "1", "-d", "20ms", "--grace", grace, "--json"];
        let report = report(&run(&args));
        assert_eq!((report.replies, report.unfinished), (replies, 1 - replies), "{grace}");
    }
}

#[test]
fn open_files_are_asked_for_or_their_lack_is_told() {
    let url = url(hello());
    let limited = |limit: &str| {
        let line = format!("ulimit {limit}; exec \"$0\" \"$@\"");
        let args = [url.as_str(), "-t", "1", "-c", "150", "-n", "300", "--json"];
        let loadgen = env!("CARGO_BIN_EXE_turnpike-loadgen");
        std::process::Command::new("sh").args(["-c", &line, loadgen]).args(args).output().unwrap()
    };
    let asked = report(&limited("-Sn 100"));
    assert_eq!((asked.succeeded, asked.failed()), (300, 0), "{:?}", asked.first_errors);
    let refused = limited("-n 100");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told.contains("150 connections need 218 open files, and this process may have 100"), "{told}");
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

#[test]
fn ctrl_c_ends_a_run_early_with_its_report() {
    let (told, requests) = channel();
    let address = serve(move |mut stream| {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            let _ = told.send(());
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let url = url(address);
    // The second is a schedule on which nothing is due for a long time.
    for pace in [&["--rate", "500"][..], &["--steps", "500:100ms,0:58s,1:1s"][..]] {
        let args = [&[url.as_str(), "-t", "1", "-c", "2", "-d", "60s", "--json"], pace].concat();
        let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        requests.iter().take(20).for_each(drop);
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let report = report(&output);
        assert_eq!((output.status.code(), report.ended_by), (Some(130), Ending::Interrupted));
        assert!(report.succeeded > 0 && report.duration_s < 59.0, "{report:?}");
        assert_eq!(report.unfinished, 0, "{report:?}");
        assert!(report.to_string().contains(" s, interrupted\n"), "{report}");
        assert_eq!(report.intervals.iter().map(|row| row.replies).sum::<u64>(), report.replies);
        while requests.recv_timeout(Duration::ZERO).is_ok() {}
    }
}

#[test]
fn ctrl_c_before_the_run_has_its_status_as_well() {
    let (address, first_bytes) = silent();
    let url = format!("https://{address}/");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let args = [url.as_str(), "-t", "1", "-c", "1", "--insecure", "--timeout", "60s", "--json"];
    let child = command(&args).arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    first_bytes.recv().unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!file.exists(), "a file without a report");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted before the run began"));
}

#[test]
fn a_second_ctrl_c_quits_without_waiting_for_replies() {
    let (address, first_bytes) = silent();
    let args = [&url(address), "-t", "1", "-c", "1", "-d", "60s", "--timeout", "60s", "--progress=live"];
    let mut child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    first_bytes.recv().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => interrupt(&child),
        }
    };
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!((status.code(), printed.as_str()), (Some(130), ""));
}

#[test]
fn a_live_view_is_drawn_in_place_and_leaves_the_terminal_as_it_was() {
    let url = url(hello());
    let args = [&url, "-t", "1", "-c", "2", "-d", "600ms", "--rate", "200", "--progress=live"];
    let output = command(&args).env("NO_COLOR", "1").output().unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    let frames: Vec<&str> = shown.split("\x1b[?25l").skip(1).collect();
    assert!(frames.len() >= 2, "{shown:?}");
    assert!(frames[1].contains("open loop, 200 requests/s   2 connections"), "{shown:?}");
    assert!(frames[0].ends_with("\x1b[6A\r\x1b[J"), "the next frame takes its place: {shown:?}");
    assert!(shown.ends_with("\x1b[6A\r\x1b[J\x1b[?25h"), "{shown:?}");
    assert!(!shown.contains("\x1b[1m"), "NO_COLOR is respected");
    let coloured = command(&args).env_remove("NO_COLOR").output().unwrap();
    assert!(String::from_utf8_lossy(&coloured.stderr).contains("\x1b[1m"));
    let quiet = run(&[&url, "-t", "1", "-c", "2", "-n", "10"]);
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "", "over before a line was due");
}

#[test]
fn without_a_terminal_a_run_tells_plain_lines() {
    let url = url(hello());
    let run_of = |more: &[&str]| {
        let output = run(&[&[&url, "-t", "2", "-c", "2", "-d", "2500ms", "--rate", "100"], more].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = run_of(&[]);
    assert!(told.lines().count() >= 1 && !told.contains('\x1b'), "{told:?}");
    for line in told.lines() {
        let parts = [" s ", " replies/s   p50 ", "   p99 ", "errors none   waiting "];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    for off in [&["--progress=off"][..], &["--progress", "off"]] {
        assert_eq!(run_of(off), "");
    }
    assert_ne!(run_of(&["--progress"]), "");
}

#[test]
fn a_connection_that_was_closed_while_its_user_thought_is_opened_anew() {
    let server = serve(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        // Nothing says that this is the last reply.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    });
    let url = url(server);
    let report = |args: &[&str]| report(&run(&[&[url.as_str(), "--json", "-t", "1"], args].concat()));
    let scenario = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(scenario.path(), "think = '200ms'\n[[request]]\nurl = '/'\n").unwrap();
    let thinking = report(&["-c", "2", "-n", "6", "--scenario", scenario.path().to_str().unwrap()]);
    assert_eq!((thinking.succeeded, thinking.failed()), (6, 0), "{:?}", thinking.first_errors);
    assert_eq!(thinking.openings.connections, 4, "the first two were opened before the run");
    // Without a rest nobody looks: that the server closes unsaid is an error.
    let hasty = report(&["-c", "1", "-n", "40"]);
    assert!(hasty.failed() > 0, "{:?}", hasty.errors);
}
