//! Standard output and standard error, whose readers may go away before everything is said.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};

/// Whether anybody still reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

/// Prints a text. A reader that has gone, as `| head` does, is no error; a disk that is full is.
pub(crate) fn print(text: impl Display) -> Result<Reader, String> {
    print_to(&mut stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: impl Display) -> Result<Reader, String> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// Tells how things go, on standard error, to whoever listens.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_told_from_a_full_disk() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(print_to(&mut writer, "x"), Ok(Reader::There));
        drop(reader);
        assert_eq!(print_to(&mut writer, "x"), Ok(Reader::Gone));
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        assert!(print_to(&mut full, "x").unwrap_err().contains("No space left"));
    }
}
