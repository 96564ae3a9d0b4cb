//! A stored response.

use bytes::Bytes;

use crate::freshness::Freshness;

/// A response as it was passed on. Its head and body never change: a revalidated response is another that shares the
/// body.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Lines of `name: value` and CRLF: what every client gets of the head, without `Content-Length`, which follows
    /// from the body, and without `Age`, which is the store's to say.
    pub lines: Box<[u8]>,
    /// Whether `Date` is one of them.
    pub dated: bool,
    /// Without transfer coding.
    pub body: Bytes,
    /// What the body takes in memory, its length at least.
    pub body_held_bytes: usize,
    pub freshness: Freshness,
    /// The entity tag as it came, quotes included.
    pub etag: Option<Box<[u8]>>,
    /// Seconds since 1970.
    pub last_modified_s: Option<u64>,
    /// Hashes of the tags that it can be purged by.
    pub tags: Box<[u64]>,
}

impl Response {
    /// What it takes in memory, apart from what the store needs to find it.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let tag_bytes = std::mem::size_of_val(&*self.tags);
        let parts = self.lines.len() + self.body_held_bytes + self.etag.as_ref().map_or(0, |etag| etag.len());
        (size_of::<Self>() + parts + tag_bytes) as u64
    }

    /// Whether the origin can be asked if it is still right.
    #[must_use]
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified_s.is_some()
    }
}
