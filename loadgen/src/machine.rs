//! What a run was made on and with: machine, versions, command line.

use std::fs;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model; empty where the system doesn't tell.
    pub processor: String,
    /// All that are online.
    pub cores: usize,
    pub memory_bytes: u64,
    /// Name and release.
    pub kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let system = rustix::system::uname();
        let memory = rustix::system::sysinfo();
        Self {
            processor: field(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.totalram as u64 * u64::from(memory.mem_unit),
            kernel: format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
        }
    }
}

/// The value of the first `name : value` line; empty without one.
fn field(text: &str, name: &str) -> String {
    let value = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(value).unwrap_or_default()
}

/// A command line as a shell would take it, without the secrets that its header fields may hold.
pub(crate) fn shown_command(args: impl Iterator<Item = String>) -> String {
    let mut header_follows = false;
    let mut words = Vec::new();
    for arg in args {
        let shown = match arg.split_once('=') {
            _ if header_follows => hide_secret(&arg),
            Some((name @ "--header", field)) => format!("{name}={}", hide_secret(field)),
            _ => match arg.strip_prefix("-H") {
                Some(field) if !field.is_empty() => format!("-H{}", hide_secret(field)),
                _ => arg.clone(),
            },
        };
        header_follows = !header_follows && (arg == "-H" || arg == "--header");
        words.push(quote(&shown));
    }
    words.join(" ")
}

fn hide_secret(field: &str) -> String {
    let name = field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    let secret = ["authorization", "cookie", "key", "token", "secret", "password"];
    match secret.iter().any(|part| name.contains(part)) && field.contains(':') {
        true => format!("{name}: ***"),
        false => field.to_owned(),
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_its_secrets() {
        let shown = |args: &[&str]| shown_command(args.iter().map(|arg| (*arg).to_owned()));
        assert_eq!(shown(&["x", "-c", "4", "http://a/?b=c&d"]), "x -c 4 'http://a/?b=c&d'");
        assert_eq!(shown(&["-H", "x-api-key: k", "-H", "a: it's"]), "-H 'x-api-key: ***' -H 'a: it'\\''s'");
        assert_eq!(shown(&["--header=Authorization: Bearer z"]), "'--header=authorization: ***'");
        assert_eq!(shown(&["-HCookie: z", "-H", "-H", "-H"]), "'-Hcookie: ***' -H -H -H");
    }

    #[test]
    fn the_machine_has_cores_memory_and_a_kernel() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20 && machine.kernel.starts_with("Linux "));
        assert_eq!(field("a : b\nmodel name\t: x y\nmodel name: z", "model name"), "x y");
    }
}
