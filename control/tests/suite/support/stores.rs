//! Which store the suites run on: SQLite, or, with `TURNPIKE_TEST_STORE=postgres`, a database for each data directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use turnpike_control::settings::StoreSettings;

use super::postgres;

const STORE_ENV: &str = "TURNPIKE_TEST_STORE";

/// The URL of a data directory's database; `None` when its store is SQLite.
pub(crate) fn url_of(data_dir: &Path) -> Option<String> {
    static URLS: Mutex<Option<HashMap<PathBuf, String>>> = Mutex::new(None);
    match std::env::var(STORE_ENV).as_deref() {
        Err(_) | Ok("" | "sqlite") => return None,
        Ok("postgres") => {}
        Ok(other) => panic!("{STORE_ENV} is sqlite or postgres, not {other}"),
    }
    let mut urls = URLS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = urls.get_or_insert_default().entry(data_dir.to_owned());
    Some(known.or_insert_with(|| postgres::shared().database()).clone())
}

/// As [`url_of`], for a store inside the test.
pub(crate) fn settings_of(data_dir: &Path) -> StoreSettings {
    let url = url_of(data_dir).map(|url| url.parse().expect("valid"));
    StoreSettings { url, ..StoreSettings::default() }
}
