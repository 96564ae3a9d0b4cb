#[allow(dead_code, reason = "the shards use it")]
mod access_log_format;
#[allow(dead_code, reason = "main uses it")]
mod housekeeper {
    pub(crate) mod totals;
}
#[allow(dead_code, reason = "main uses it")]
mod settings;
#[allow(dead_code, reason = "the shards use it")]
mod stats;

fn main() {}
