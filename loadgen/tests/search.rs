//! `search` and `self-test`: what a target can carry, and what the generator can.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::Value;
use support::{hello, run, serve};

#[test]
fn a_search_ends_at_the_rate_that_the_target_takes() {
    // A target that refuses all but the first 120 requests of a trial of 400 ms. A trial has 16 connections.
    let accepted = Arc::new(AtomicUsize::new(0));
    let counts: Arc<[AtomicU64; 100]> = Arc::new([const { AtomicU64::new(0) }; 100]);
    let address = serve(move |mut stream| {
        let count = &counts[accepted.fetch_add(1, Ordering::SeqCst) / 16];
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            let refused = count.fetch_add(1, Ordering::SeqCst) >= 120;
            let status = if refused { "503 Full" } else { "200 OK" };
            if stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).is_err()
            {
                return;
            }
        }
    });
    let url = format!("http://{address}/");
    let args = ["-t", "1", "-c", "16", "-d", "400ms", "--expect-status", "200", "--goal", "p50<1s", "--json"];
    let more = ["--start-rate", "40", "--precision", "20%", "--confirmations", "1", "--max-errors", "30%"];
    let output = run(&[&["search", url.as_str()], &args[..], &more].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    // With 30 % of errors allowed, 171 requests do, which is 428 in a second.
    let rate = found["rate_per_s"].as_f64().unwrap();
    assert!((250.0..=430.0).contains(&rate), "{found}");
    let trials = found["trials"].as_array().unwrap();
    assert_eq!(trials[0]["rate_per_s"], 40.0);
    assert!(
        trials
            .iter()
            .any(|trial| trial["held"] == false && trial["reason"].as_str().unwrap().ends_with("errors"))
    );
    assert_eq!(trials.last().unwrap()["confirmation"], true);
    assert_eq!(
        told.lines().filter(|line| line.contains("holds") || line.contains("fails")).count(),
        trials.len()
    );
}

#[test]
fn a_goal_that_nothing_reaches_has_a_status_of_its_own() {
    let url = format!("http://{}/", hello());
    let args =
        ["search", &url, "-t", "1", "-c", "1", "-d", "100ms", "--goal", "p50<1us", "--start-rate", "20"];
    let output = run(&args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("fails: p50 ") && text.contains("at no rate is p50<1µs"), "{text}");
    for wrong in [&["--rate", "5"][..], &["--csv", "x"], &["--requests", "5"], &["--precision", "5"]] {
        assert_eq!(run(&[&args[..], wrong].concat()).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_self_test_knows_floor_ceiling_and_precision() {
    let output = run(&["--self-test", "--duration", "300ms", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&found["ceiling"]["replies_per_s"]) > 1_000.0, "{found}");
    assert!(
        number(&found["floor"]["p50_us"]) > 0.0 && number(&found["ceiling"]["responder_cpu_share"]) > 0.0
    );
    let slowest = &found["open_loop"][0];
    assert_eq!(slowest["rate_per_s"], 100.0);
    assert!(number(&slowest["rate_error_percent"]).abs() < 50.0, "{slowest}");
    let text = run(&["self-test", "--duration", "50ms"]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(
        text.contains("  ceiling ") && text.contains("  floor ") && text.contains("open loop       100 /s"),
        "{text}"
    );
    assert_eq!(run(&["--self-test", "--cores", "9999"]).status.code(), Some(2));
}
