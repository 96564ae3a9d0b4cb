#[expect(dead_code, reason = "used by the shards")]
mod access_log_format;
#[expect(dead_code, reason = "used by main")]
mod settings;

fn main() {}
