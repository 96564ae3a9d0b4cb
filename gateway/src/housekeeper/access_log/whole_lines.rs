//! Whole lines into a pipe that other processes write to as well: a gateway and its successor, for a while.

use std::io::{self, Write};

/// What a pipe takes at once, without bytes of others in between (PIPE_BUF). A line that is longer may be torn.
const ATOMIC_BYTES_MAX: usize = 4_096;

/// Passes on as many whole lines at a time as are written at once.
#[derive(Debug)]
pub(super) struct WholeLines<W>(pub(super) W);

impl<W: Write> Write for WholeLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..piece(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn piece(bytes: &[u8]) -> usize {
    if bytes.len() <= ATOMIC_BYTES_MAX {
        return bytes.len();
    }
    let is_end = |byte: &u8| *byte == b'\n';
    let fitting = bytes[..ATOMIC_BYTES_MAX].iter().rposition(is_end);
    fitting.or_else(|| bytes.iter().position(is_end)).map_or(bytes.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_are_whole_lines_that_fit_and_long_lines_alone() {
        let short = [b"x".repeat(999), b"\n".to_vec()].concat();
        let long = [b"y".repeat(9_999), b"\n".to_vec()].concat();
        let all = [short.repeat(10), long.clone(), short.clone()].concat();
        let mut out = WholeLines(Pieces::default());
        out.write_all(&all).unwrap();
        let lengths: Vec<usize> = out.0.0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [4_000, 4_000, 2_000, 10_000, 1_000]);
        assert_eq!(out.0.0.concat(), all);
    }
}
