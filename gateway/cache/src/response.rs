//! A stored response.

use bytes::Bytes;

use crate::freshness::Freshness;
use crate::lines::{coded_lines, varying};

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
    /// Whether the body may be sent in a content coding; its lines say then that it varies by what clients accept.
    pub codable: bool,
    /// The codings that it was asked for in.
    pub forms: Box<[Form]>,
}

/// A response's body in a content coding: made once, and sent to all that take it so.
#[derive(Debug, Clone)]
pub struct Form {
    /// `gzip`
    pub coding: &'static str,
    /// Instead of the response's own.
    pub lines: Box<[u8]>,
    pub body: Bytes,
    /// As [`Response::body_held_bytes`].
    pub body_held_bytes: usize,
}

impl Response {
    /// What it takes in memory, apart from what the store needs to find it.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let tag_bytes = std::mem::size_of_val(&*self.tags);
        let parts = self.lines.len() + self.body_held_bytes + self.etag.as_ref().map_or(0, |etag| etag.len());
        let forms = self.forms.iter().map(|form| size_of::<Form>() + form.lines.len() + form.body_held_bytes);
        (size_of::<Self>() + parts + tag_bytes + forms.sum::<usize>()) as u64
    }

    #[must_use]
    pub fn form(&self, coding: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.coding == coding)
    }

    /// The same, and its body in a coding.
    #[must_use]
    pub fn with_form(&self, coding: &'static str, body: Bytes, body_held_bytes: usize) -> Self {
        let form = Form { coding, lines: coded_lines(&self.lines, coding), body, body_held_bytes };
        Self { forms: self.forms.iter().cloned().chain([form]).collect(), ..self.clone() }
    }

    /// The same with another head.
    #[must_use]
    pub fn with_lines(&self, lines: Box<[u8]>) -> Self {
        let lines = if self.codable { varying(&lines) } else { lines };
        let renewed = |form: &Form| Form { lines: coded_lines(&lines, form.coding), ..form.clone() };
        Self { forms: self.forms.iter().map(renewed).collect(), lines, ..self.clone() }
    }

    /// Whether the origin can be asked if it is still right.
    #[must_use]
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified_s.is_some()
    }
}
