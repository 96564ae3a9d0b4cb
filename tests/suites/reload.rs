//! SIGHUP reads the settings file again: what can change while the gateway runs does, the rest is named.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use turnpike_tests::{DataPlane, Options, Origin, http_api, request};

struct Reloading {
    plane: DataPlane,
    file: PathBuf,
    _directory: TempDir,
    _origin: Origin,
}

impl Reloading {
    fn with(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings.toml");
        std::fs::write(&file, settings).unwrap();
        let origin = Origin::echo();
        let options = Options::new().shards(2).set("config", file.display());
        let plane =
            DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("{request.path}"))]);
        Self { plane, file, _directory: directory, _origin: origin }
    }

    /// Writes the file, sends the signal and waits until `told` is in the log.
    fn reload(&mut self, settings: &str, told: &str) {
        std::fs::write(&self.file, settings).unwrap();
        self.plane.gateway.process().signal_alone(Signal::HUP);
        self.plane.gateway.process().wait_for_log(told);
    }

    /// The answers to a request with a body of five bytes, until both shards have given one.
    fn posts(&self) -> Vec<u16> {
        let request = format!(
            "{}5\r\n\r\nhello",
            request("POST", "a1", "/").trim_end().to_owned() + "\r\nContent-Length: "
        );
        (0..8).map(|_| self.plane.exchange(&request).status).collect()
    }
}

#[test]
fn live_settings_change_and_others_are_named() {
    let mut reloading = Reloading::with("body_bytes_max = 5\n");
    assert_eq!(reloading.posts(), [200; 8]);
    let mut open = reloading.plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    reloading.reload(
        "body_bytes_max = 4\nlisten_backlog = 5\ndns_ttl_min_ms = 7\n",
        "settings changed: body_bytes_max\n",
    );
    let log = reloading.plane.gateway.process().log();
    assert!(
        log.contains("until `turnpike-gateway upgrade` or a restart: listen_backlog, dns_ttl_min_ms\n"),
        "{log}"
    );
    // Each shard takes it with its next message; the metrics are another, which is answered after it.
    let _ = reloading.plane.gateway.metrics();
    assert_eq!(reloading.posts(), [413; 8]);
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200, "open connections stay");
    // An upgrade takes the rest, and says so by having nothing left to name.
    reloading.plane.gateway.upgrade();
    assert_eq!(reloading.posts(), [413; 8]);
    drop(open);
    reloading.plane.assert_at_rest();
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let mut reloading = Reloading::with("body_bytes_max = 4\n");
    for (file, why) in [
        ("body_bytes_max = 5\nidle_timeout_ms = 0\n", "none is changed: idle_timeout_ms: 0 is outside"),
        ("body_bytes_max = 5\nno such thing", "none is changed: settings file"),
        ("body_bytes_maximum = 5\n", "unknown field `body_bytes_maximum`"),
    ] {
        reloading.reload(file, why);
        let _ = reloading.plane.gateway.metrics();
        assert_eq!(reloading.posts(), [413; 8]);
    }
    std::fs::remove_file(&reloading.file).unwrap();
    reloading.plane.gateway.process().signal_alone(Signal::HUP);
    reloading.plane.gateway.process().wait_for_log("none is changed: cannot read the settings file");
    reloading.reload("body_bytes_max = 5\n", "settings changed: body_bytes_max\n");
    let _ = reloading.plane.gateway.metrics();
    assert_eq!(reloading.posts(), [200; 8]);
    reloading.plane.assert_at_rest();
}
