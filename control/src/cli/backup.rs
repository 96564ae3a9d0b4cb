//! `backup` and `restore`: a store to a file, while control serves from it, and back into a new store.

use std::path::PathBuf;

use clap::Args;

use super::options::StoreArgs;
use super::serve::say;
use crate::secrets;
use crate::store::backup::{self, Progress, Summary};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// File to write, which must not exist; only its owner may read it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Put the key that secrets are encrypted with into the file, too: whoever has the file can read them then
    #[arg(long)]
    with_secrets_key: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// File that `backup` wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Only read the file to its end, and say whether it is whole
    #[arg(long)]
    check: bool,
}

/// Blocks; nothing else runs in these commands.
pub(super) fn write(args: BackupArgs) -> Result<(), String> {
    let (data_dir, settings) = args.store.settings()?;
    let mut tell = |done, total| tell("backup", done, total);
    let mut progress = Progress::new(&mut tell);
    let written = backup::write(&data_dir, &settings, &args.to, args.with_secrets_key, &mut progress);
    let summary = written.map_err(|error| error.to_string())?;
    let key = match summary.has_secrets_key {
        true => "the secrets key is in it: keep it as you would keep the key".to_owned(),
        false => format!(
            "the secrets key isn't in it: keep {} with it, which a restore needs",
            if settings.secrets_key.is_some() { secrets::KEY_ENV } else { secrets::FILE }
        ),
    };
    say(&format!("wrote {}: {}; {key}", args.to.display(), described(&summary)))
}

pub(super) fn restore(args: RestoreArgs) -> Result<(), String> {
    let (data_dir, settings) = args.store.settings()?;
    let from = args.from.display();
    let mut tell = |done, total| tell("restore", done, total);
    let mut progress = Progress::new(&mut tell);
    if args.check {
        let summary = backup::check(&args.from, &mut progress).map_err(|error| error.to_string())?;
        return say(&format!("{from} is whole: {}", described(&summary)));
    }
    let restored = backup::restore(&data_dir, &settings, &args.from, &mut progress);
    let summary = restored.map_err(|error| error.to_string())?;
    say(&format!("restored {from}: {}", described(&summary)))
}

fn described(Summary { rows, version, .. }: &Summary) -> String {
    format!("{rows} rows, version {version}")
}

/// A total of 0 isn't known yet.
fn tell(what: &str, done: u64, total: u64) {
    match total {
        0 => log_line!("{what}: {done} rows read"),
        total => log_line!("{what}: {done} of {total} rows ({} %)", done * 100 / total),
    }
}
