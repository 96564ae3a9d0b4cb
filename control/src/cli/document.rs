//! Files that commands read whole, and `-` for standard input.

use std::io::Read as _;

/// Above what control takes by default.
const BYTES_MAX: u64 = 64 << 20;

/// # Errors
/// When it can't be read, is empty, or is larger than that.
pub(super) fn read(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(BYTES_MAX + 1).read_to_end(&mut bytes),
        file => {
            std::fs::File::open(file).and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        }
    };
    let from = if file == "-" { "standard input" } else { file };
    match read {
        Ok(0) => Err(format!("{from} is empty")),
        Ok(_) if bytes.len() as u64 > BYTES_MAX => Err(format!("{from} has more than {BYTES_MAX} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("can't read {from}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of a document may well be one, too.
    #[test]
    fn what_is_too_large_is_not_read_in_part() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("UTF-8");
        assert!(read(path).expect_err("empty").contains("is empty"));
        file.as_file().set_len(BYTES_MAX).expect("sparse");
        assert_eq!(read(path).map(|bytes| bytes.len() as u64), Ok(BYTES_MAX));
        file.as_file().set_len(BYTES_MAX + 1).expect("sparse");
        assert!(read(path).expect_err("too large").contains("more than 67108864 bytes"));
    }
}
