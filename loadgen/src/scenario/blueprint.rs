//! What a step's request is made of, and making it.

use bytes::Bytes;

use super::text::{Text, Values};
use crate::request::Parts;

/// One step's request before its values are known.
#[derive(Debug)]
pub(super) struct Blueprint {
    pub(super) method: String,
    /// Index among the scenario's.
    pub(super) host: usize,
    pub(super) authority: String,
    pub(super) path: Text,
    pub(super) fields: Vec<(String, Text)>,
    pub(super) body: Body,
    pub(super) chunked: bool,
    /// Index of a signer.
    pub(super) signer: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Body {
    None,
    Fixed(Bytes),
    Text(Text),
    /// So many random bytes.
    Random(usize),
}

impl Blueprint {
    /// The request where nothing in it varies.
    pub(super) fn fixed(&self) -> Option<Parts> {
        let body = match &self.body {
            Body::None => None,
            Body::Fixed(body) => Some(body.clone()),
            Body::Text(text) => Some(Bytes::copy_from_slice(text.fixed()?.as_bytes())),
            Body::Random(_) => return None,
        };
        if self.signer.is_some() {
            return None;
        }
        let field = |(name, value): &(String, Text)| Some((name.clone(), value.fixed()?.to_owned()));
        Some(Parts {
            method: self.method.clone(),
            authority: self.authority.clone(),
            path: self.path.fixed()?.to_owned(),
            fields: self.fields.iter().map(field).collect::<Option<_>>()?,
            body,
            chunked: self.chunked,
            host: self.host,
            ..Parts::default()
        })
    }

    /// Fills the request in, into parts whose memory is used again; a random body is the caller's.
    pub(super) fn fill(&self, values: &mut impl Values, parts: &mut Parts) {
        let replace = |to: &mut String, text: &str| {
            to.clear();
            to.push_str(text);
        };
        replace(&mut parts.method, &self.method);
        replace(&mut parts.authority, &self.authority);
        parts.path.clear();
        self.path.render_path(values, &mut parts.path);
        parts.fields.truncate(self.fields.len());
        parts.fields.resize_with(self.fields.len(), Default::default);
        for ((name, value), field) in self.fields.iter().zip(&mut parts.fields) {
            replace(&mut field.0, name);
            field.1.clear();
            value.render(values, &mut field.1);
        }
        parts.chunked = self.chunked;
        parts.host = self.host;
        parts.body = match &self.body {
            Body::None | Body::Random(_) => None,
            Body::Fixed(body) => Some(body.clone()),
            Body::Text(text) => {
                let mut body = String::new();
                text.render(values, &mut body);
                Some(body.into())
            }
        };
    }
}
