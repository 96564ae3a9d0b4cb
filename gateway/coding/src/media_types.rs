//! Media types that aren't worth compressing, since they are compressed in themselves.

use std::fmt;
use std::str::FromStr;

/// A list of them: `video/*`, `application/zip`. What a `*` at the end stands for may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MediaTypes {
    /// In lower case; whether it is all that begins so.
    patterns: Vec<(Box<str>, bool)>,
}

/// Why a list can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypesError {
    pattern: String,
}

impl fmt::Display for MediaTypesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is no media type, such as application/zip or video/*", self.pattern)
    }
}

impl std::error::Error for MediaTypesError {}

impl MediaTypes {
    /// Whether a `Content-Type` names one of them.
    #[must_use]
    pub fn contain(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.patterns.iter().any(|(pattern, begins)| match begins {
            true => essence
                .get(..pattern.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(pattern.as_bytes())),
            false => essence.eq_ignore_ascii_case(pattern.as_bytes()),
        })
    }
}

/// Separated by commas.
impl FromStr for MediaTypes {
    type Err = MediaTypesError;

    fn from_str(typed: &str) -> Result<Self, MediaTypesError> {
        let patterns = typed.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let patterns = patterns.map(|pattern| {
            let (name, begins) =
                pattern.strip_suffix('*').map_or((pattern, false), |beginning| (beginning, true));
            let is_type = name.split_once('/').is_some_and(|(kind, rest)| {
                !kind.is_empty() && (begins || !rest.is_empty()) && [kind, rest].into_iter().all(is_name)
            });
            match is_type {
                true => Ok((name.to_ascii_lowercase().into(), begins)),
                false => Err(MediaTypesError { pattern: pattern.to_owned() }),
            }
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }
}

/// RFC 6838 4.2.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_without_their_parameters() {
        let types: MediaTypes = "video/*, application/zip,image/vnd.x.*".parse().unwrap();
        for inside in
            ["video/mp4", "VIDEO/MP4; codecs=a", "application/zip", "application/ZIP ;a=b", "image/vnd.x.y"]
        {
            assert!(types.contain(inside.as_bytes()), "{inside}");
        }
        for outside in ["", "video", "text/video/", "application/zipx", "application/json", "image/vnd.x"] {
            assert!(!types.contain(outside.as_bytes()), "{outside}");
        }
        assert!(!MediaTypes::default().contain(b"video/mp4"));
        assert_eq!("".parse(), Ok(MediaTypes::default()));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for typed in ["*", "video", "*/mp4", "a/b/c", "/a", "a/", "a b/c", "video/*,x"] {
            let error = typed.parse::<MediaTypes>().unwrap_err().to_string();
            assert!(error.ends_with("is no media type, such as application/zip or video/*"), "{error}");
        }
    }
}
