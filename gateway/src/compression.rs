//! What a shard compresses and decompresses with: compressors, kept for reuse, and how much may wait for them.
//!
//! At most `compressions_max` and `decompressions_max` are in use, and the beginnings of answers that wait until it is
//! known whether they are compressed take at most `compression_waiting_bytes_max`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use turnpike_coding::{ContentCoding, DecodeLimits, Decoder, Encoder};

use crate::settings::Settings;

/// Compressors that are kept for reuse. Arbitrary.
const KEPT_MAX: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Compression {
    kept: RefCell<Vec<Kept>>,
    in_use: Cell<usize>,
    decoders_in_use: Rc<Cell<usize>>,
    waiting_bytes: Cell<usize>,
}

#[derive(Debug)]
struct Kept {
    encoder: Encoder,
    level: u32,
}

impl Compression {
    /// A compressor at its beginning, unless as many are in use as may be.
    pub(crate) fn encoder(&self, coding: ContentCoding, settings: &Settings) -> Option<LentEncoder<'_>> {
        if self.in_use.get() >= settings.compressions_max {
            return None;
        }
        let level = settings.compression_level;
        let mut kept = self.kept.borrow_mut();
        let fits = kept.iter().rposition(|kept| kept.encoder.coding() == coding && kept.level == level);
        let kept = match fits {
            Some(place) => kept.remove(place),
            None => Kept { encoder: Encoder::new(coding, level), level },
        };
        self.in_use.set(self.in_use.get() + 1);
        Some(LentEncoder { compression: self, kept: Some(kept), finished: false })
    }

    /// A decompressor, unless as many are in use as may be.
    pub(crate) fn decoder(&self, coding: ContentCoding, settings: &Settings) -> Option<LentDecoder> {
        let in_use = &self.decoders_in_use;
        if in_use.get() >= settings.decompressions_max {
            return None;
        }
        in_use.set(in_use.get() + 1);
        let limits = DecodeLimits {
            bytes_max: settings.decompressed_bytes_max,
            ratio_max: settings.decompression_ratio_max,
        };
        Some(LentDecoder { in_use: Rc::clone(in_use), decoder: Decoder::new(coding, limits) })
    }

    /// Room for what has to wait.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        Waiting { compression: self, bytes: 0 }
    }
}

/// A compressor of the shard's, which goes back to it.
#[derive(Debug)]
pub(crate) struct LentEncoder<'c> {
    compression: &'c Compression,
    /// Until it goes back.
    kept: Option<Kept>,
    finished: bool,
}

impl LentEncoder<'_> {
    pub(crate) fn encoder(&mut self) -> &mut Encoder {
        &mut self.kept.as_mut().expect("it goes back at the end").encoder
    }

    /// Appends the rest of the body, once.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.encoder().finish(out);
        }
    }
}

impl Drop for LentEncoder<'_> {
    fn drop(&mut self) {
        self.compression.in_use.set(self.compression.in_use.get() - 1);
        let mut kept = self.compression.kept.borrow_mut();
        if let Some(mut returned) = self.kept.take() {
            returned.encoder.reset();
            if kept.len() == KEPT_MAX {
                // The one that was used longest ago may be of a level that isn't wanted any more.
                kept.remove(0);
            }
            kept.push(returned);
        }
    }
}

/// A decompressor that counts as one of the shard's.
#[derive(Debug)]
pub(crate) struct LentDecoder {
    in_use: Rc<Cell<usize>>,
    decoder: Decoder,
}

impl LentDecoder {
    pub(crate) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}

impl Drop for LentDecoder {
    fn drop(&mut self) {
        self.in_use.set(self.in_use.get() - 1);
    }
}

/// Bytes that wait.
#[derive(Debug)]
pub(crate) struct Waiting<'c> {
    compression: &'c Compression,
    bytes: usize,
}

impl Waiting<'_> {
    /// Whether so many may wait.
    pub(crate) fn grow(&mut self, bytes: usize, bytes_max: usize) -> bool {
        let all = self.compression.waiting_bytes.get() - self.bytes + bytes;
        let fits = all <= bytes_max;
        if fits {
            self.compression.waiting_bytes.set(all);
            self.bytes = bytes;
        }
        fits
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.compression.waiting_bytes.set(self.compression.waiting_bytes.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressors_are_bounded_and_come_back_at_their_beginning() {
        let settings = Settings { compressions_max: 2, ..Settings::defaults() };
        let compression = Compression::default();
        let compressed = |lent: &mut LentEncoder<'_>| {
            let mut out = Vec::new();
            lent.encoder().encode(b"abc", &mut out);
            lent.encoder().finish(&mut out);
            out
        };
        let mut first = compression.encoder(ContentCoding::Gzip, &settings).unwrap();
        let expected = compressed(&mut first);
        let second = compression.encoder(ContentCoding::Deflate, &settings);
        assert!(second.is_some() && compression.encoder(ContentCoding::Gzip, &settings).is_none());
        drop((first, second));
        assert_eq!((compression.in_use.get(), compression.kept.borrow().len()), (0, 2));
        let mut again = compression.encoder(ContentCoding::Gzip, &settings).unwrap();
        assert_eq!((compressed(&mut again), compression.kept.borrow().len()), (expected, 1));
        let faster = Settings { compression_level: 1, ..settings };
        assert!(compression.encoder(ContentCoding::Deflate, &faster).is_some());
        assert_eq!(compression.kept.borrow().len(), 2);
    }

    #[test]
    fn those_of_a_level_that_was_changed_make_room() {
        let before = Settings { compression_level: 6, ..Settings::defaults() };
        let compression = Compression::default();
        let all: Vec<_> =
            (0..KEPT_MAX + 1).map(|_| compression.encoder(ContentCoding::Gzip, &before).unwrap()).collect();
        drop(all);
        assert_eq!(compression.kept.borrow().len(), KEPT_MAX);
        let after = Settings { compression_level: 1, ..before };
        drop(compression.encoder(ContentCoding::Gzip, &after));
        let levels: Vec<u32> = compression.kept.borrow().iter().map(|kept| kept.level).collect();
        assert_eq!((levels.len(), levels.iter().filter(|level| **level == 1).count()), (KEPT_MAX, 1));
        let _again = compression.encoder(ContentCoding::Gzip, &after);
        assert_eq!(compression.kept.borrow().len(), KEPT_MAX - 1, "it is taken");
    }

    #[test]
    fn what_waits_is_bounded() {
        let compression = Compression::default();
        let (mut first, mut second) = (compression.waiting(), compression.waiting());
        assert!(first.grow(60, 100) && second.grow(40, 100));
        assert!(!second.grow(41, 100) && first.grow(50, 100) && second.grow(50, 100));
        drop(first);
        assert!(second.grow(100, 100));
        drop(second);
        assert_eq!(compression.waiting_bytes.get(), 0);
    }
}
