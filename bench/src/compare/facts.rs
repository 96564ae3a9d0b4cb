//! What the figures were taken on.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::layout::Layout;

/// Machine and software.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) cpu_model: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) memory_bytes: u64,
    pub(crate) layout: String,
    pub(crate) caveat: Option<String>,
    /// First lines of what the peers say of themselves.
    pub(crate) versions: Vec<String>,
}

impl Facts {
    pub(crate) fn gather(cores: usize, layout: &Layout) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            cpu_model: field(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores,
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            memory_bytes: field(&memory, "MemTotal").and_then(parse_kib).unwrap_or(0) * 1024,
            layout: layout.to_string(),
            caveat: layout.caveat().map(str::to_owned),
            versions: Vec::new(),
        }
    }

    /// Adds the first line that `program argument` prints, with the program's name where it isn't in it.
    pub(crate) fn ask_version(&mut self, program: &Path, argument: &str) {
        let Ok(output) = Command::new(program).arg(argument).output() else { return };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // Some begin with the path that they were called by, which is this machine's own.
        let line = line.replace(&*program.to_string_lossy(), &name);
        let is_bare = line.starts_with(|first: char| first.is_ascii_digit());
        self.versions.push(if is_bare { format!("{name} {line}") } else { line });
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "machine   {} ({} cores), {} MiB", self.cpu_model, self.cores, self.memory_bytes >> 20)?;
        writeln!(f, "kernel    {}", self.kernel)?;
        write!(f, "layout    {}", self.layout)?;
        let caveats = self.caveat.iter().map(|caveat| ("caveat", caveat));
        let versions = self.versions.iter().map(|version| ("version", version));
        caveats.chain(versions).try_for_each(|(name, text)| write!(f, "\n{name:<9} {text}"))
    }
}

/// The value of `name : value` or `name: value` in the first line that has it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn parse_kib(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let text = "processor\t: 0\nmodel name\t: A CPU\nMemTotal:       24105 kB\n";
        assert_eq!(field(text, "model name"), Some("A CPU"));
        assert_eq!(field(text, "MemTotal").and_then(parse_kib), Some(24105));
        assert_eq!(field(text, "absent"), None);
    }
}
