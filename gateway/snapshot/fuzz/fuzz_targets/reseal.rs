//! Gets a fuzzer past the envelope, so that it spends its time on the archive.

use turnpike_snapshot::{FORMAT_VERSION, OLDEST_FORMAT_VERSION};

/// A copy of `bytes` with the length and the checksum that fit, the given kind, and a format that is read, by what they
/// have in its place; `None` without an archive.
pub(crate) fn reseal(bytes: &[u8], kind: u8) -> Option<Vec<u8>> {
    let archive_len = u32::try_from(bytes.len().checked_sub(32)?).ok()?;
    let mut sealed = bytes.to_vec();
    let formats = FORMAT_VERSION - OLDEST_FORMAT_VERSION + 1;
    let format = OLDEST_FORMAT_VERSION + u16::from(bytes[8]) % formats;
    sealed[..8].copy_from_slice(b"TURNPIKE");
    sealed[8..10].copy_from_slice(&format.to_le_bytes());
    sealed[10..12].copy_from_slice(&[kind, 0]);
    sealed[12..16].copy_from_slice(&archive_len.to_le_bytes());
    sealed[16..28].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&sealed[..28]);
    checksum.update(&sealed[32..]);
    sealed[28..32].copy_from_slice(&checksum.finalize().to_le_bytes());
    Some(sealed)
}
