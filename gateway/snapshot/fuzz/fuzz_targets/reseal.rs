//! Gets a fuzzer past the envelope, so that it spends its time on the archive.

/// A copy of `bytes` with the length and the checksum that fit, and the given kind; `None` without an archive.
pub(crate) fn reseal(bytes: &[u8], kind: u8) -> Option<Vec<u8>> {
    let archive_len = u32::try_from(bytes.len().checked_sub(32)?).ok()?;
    let mut sealed = bytes.to_vec();
    sealed[..12].copy_from_slice(b"TURNPIKE\x01\0\0\0");
    sealed[10] = kind;
    sealed[12..16].copy_from_slice(&archive_len.to_le_bytes());
    sealed[16..28].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&sealed[..28]);
    checksum.update(&sealed[32..]);
    sealed[28..32].copy_from_slice(&checksum.finalize().to_le_bytes());
    Some(sealed)
}
