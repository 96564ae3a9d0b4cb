//! Follows what all processes publish: a notice comes with each commit, and the version is read anew whenever the
//! connection was made again, and every few seconds besides, so that a notice that got lost on its way (a connection
//! pooler drops them) costs those seconds and no more.

use std::time::Duration;

use tokio::sync::watch;

use super::super::announce;
use super::driver::Target;
use super::{CHANNEL, SCHEMA, reason};

/// Between two looks at the newest version, and how long one may take.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two tries to connect; doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// For ever.
pub(super) async fn run(target: Target, place: String, newest: watch::Sender<u64>) {
    let mut pause = PAUSE_MIN;
    let mut is_lost = false;
    loop {
        let connected = || {
            if is_lost {
                log_line!("store: {place} can be reached again");
            }
        };
        let (lasted, why) = follow(&target, &newest, connected).await;
        if lasted {
            (pause, is_lost) = (PAUSE_MIN, false);
        }
        if !is_lost {
            log_line!("store: changes of other processes can't be followed at {place}, trying again: {why}");
            is_lost = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Until the connection ends; whether it had begun, and why it ended.
async fn follow(target: &Target, newest: &watch::Sender<u64>, connected: impl FnOnce()) -> (bool, String) {
    let tell = newest.clone();
    let notified = move |payload: &str| {
        if let Ok(version) = payload.parse() {
            announce(&tell, version);
        }
    };
    let (client, ended) = match target.connect(notified).await {
        Ok(connected) => connected,
        Err(why) => return (false, why),
    };
    if let Err(error) = client.batch_execute(&format!("LISTEN {CHANNEL}")).await {
        return (false, reason(&error));
    }
    connected();
    loop {
        let sql = format!("SELECT version FROM {SCHEMA}.root");
        match tokio::time::timeout(LOOK_EVERY, client.query_opt(&sql, &[])).await {
            Ok(Ok(row)) => {
                let version: Option<i64> = row.and_then(|row| row.try_get(0).ok());
                announce(newest, version.and_then(|version| version.try_into().ok()).unwrap_or(0));
            }
            Ok(Err(error)) => return (true, ended.get().cloned().unwrap_or_else(|| reason(&error))),
            Err(_elapsed) => return (true, format!("no answer within {LOOK_EVERY:?}")),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
