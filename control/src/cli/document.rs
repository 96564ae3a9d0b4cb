//! Files that commands read whole, and `-` for standard input.

use std::io::Read as _;

/// Above what control takes by default.
const BYTES_MAX: u64 = 64 << 20;

/// # Errors
/// When it can't be read, or is empty.
pub(super) fn read(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(BYTES_MAX).read_to_end(&mut bytes),
        file => std::fs::File::open(file).and_then(|opened| opened.take(BYTES_MAX).read_to_end(&mut bytes)),
    };
    let from = if file == "-" { "standard input" } else { file };
    match read {
        Ok(0) => Err(format!("{from} is empty")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("can't read {from}: {error}")),
    }
}
