//! Responses that depend on fields of the request (RFC 9111 4.1).
//!
//! The fields that a response names in `Vary` stand at its primary key; it lies itself at a longer one, with their
//! values. Values are compared as they are, line by line, which tells more apart than the RFC lets and never less.

use crate::key::{write_part, write_values};
use crate::store::Fields;

/// Fields that a response may vary by; one with more isn't stored.
pub const VARY_NAMES_MAX: usize = 16;
/// Fields that the responses of one key may vary by, all together; beyond, those before are forgotten.
pub(crate) const VARY_NAMES_OF_KEY_MAX: usize = 128;
/// Of all names together.
const NAME_BYTES_MAX: usize = 1_024;

/// The fields of a request that a response depends on, in lower case and in order. Not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vary {
    names: Box<[Box<[u8]>]>,
}

/// Of which requests a response is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Varies {
    No,
    By(Vary),
    /// Of that one only (`*`), or of what nobody can keep apart.
    Always,
}

impl Vary {
    /// Reads the values of all `Vary` lines.
    pub(crate) fn read<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Varies {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut bytes = 0;
        for member in values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let name = member.trim_ascii();
            if name.is_empty() {
                continue;
            }
            bytes += name.len();
            if name == b"*" || names.len() == VARY_NAMES_MAX || bytes > NAME_BYTES_MAX {
                return Varies::Always;
            }
            names.push(name.to_ascii_lowercase().into());
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { Varies::No } else { Varies::By(Self { names: names.into() }) }
    }

    /// With fields that an operator chose, in lower case, and with the caller, for whom a field without a name stands.
    #[must_use]
    pub fn with<'n>(
        vary: Option<Self>,
        by_caller: bool,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<Self> {
        let mut all = vary.map_or_else(Vec::new, |vary| vary.names.into_vec());
        all.extend(names.into_iter().map(|name| name.as_bytes().into()));
        all.extend(by_caller.then(Box::default));
        all.sort_unstable();
        all.dedup();
        (!all.is_empty()).then(|| Self { names: all.into() })
    }

    /// Without a field, in lower case.
    #[must_use]
    pub fn without(vary: Option<Self>, name: &[u8]) -> Option<Self> {
        let mut all = vary?.names.into_vec();
        all.retain(|known| **known != *name);
        (!all.is_empty()).then(|| Self { names: all.into() })
    }

    /// By all fields of both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut names = [&*self.names, &*other.names].concat();
        names.sort_unstable();
        names.dedup();
        Self { names: names.into() }
    }

    /// In lower case.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| &**name)
    }

    /// Appends what a request has of the fields.
    pub(crate) fn extend_key(&self, key: &mut Vec<u8>, fields: Fields<'_>) {
        key.push(MARK);
        for name in self.names() {
            write_part(key, name);
            let at = key.len();
            write_values(key, []);
            let mut count = 0_u32;
            fields(name, &mut |value| {
                count += 1;
                write_part(key, value);
            });
            key[at..at + 4].copy_from_slice(&count.to_le_bytes());
        }
    }

    pub(crate) fn weight(&self) -> u64 {
        let names: usize = self.names.iter().map(|name| size_of_val(name) + name.len()).sum();
        (size_of::<Self>() + names) as u64
    }
}

/// Unlike any mark of a parameter.
const MARK: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Varies {
        Vary::read(values.iter().map(|value| value.as_bytes()))
    }

    fn by(values: &[&str]) -> Vary {
        match read(values) {
            Varies::By(vary) => vary,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_the_same_in_any_order_and_case() {
        let one = by(&["Accept-Encoding, Origin"]);
        assert_eq!(one, by(&["origin", " ,ACCEPT-encoding,,"]));
        assert_eq!(one, by(&["origin, accept-encoding, origin"]));
        assert_eq!(one.names().collect::<Vec<_>>(), [&b"accept-encoding"[..], b"origin"]);
    }

    #[test]
    fn nothing_is_no_field_and_a_star_is_every_one() {
        assert_eq!((read(&[]), read(&[" , "])), (Varies::No, Varies::No));
        assert_eq!((read(&["*"]), read(&["Origin", "a,*"])), (Varies::Always, Varies::Always));
    }

    #[test]
    fn hostile_lists_are_not_kept() {
        let many = (0..=VARY_NAMES_MAX).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&[&many]), Varies::Always);
        assert_eq!(read(&[&"x".repeat(NAME_BYTES_MAX + 1)]), Varies::Always);
    }

    #[test]
    fn the_caller_is_a_field_without_a_name() {
        let names = |vary: Option<Vary>| {
            let names = vary.map(|vary| vary.names().map(<[u8]>::to_vec).collect::<Vec<_>>());
            names.unwrap_or_default()
        };
        assert_eq!(names(Vary::with(None, true, [])), [b""]);
        assert_eq!(names(Vary::with(Some(by(&["b, a"])), true, ["b", "c"])), [&b""[..], b"a", b"b", b"c"]);
        assert_eq!(Vary::with(None, false, []), None);
        assert_eq!(names(Vary::without(Some(by(&["b, a"])), b"b")), [b"a"]);
        assert_eq!((Vary::without(Some(by(&["a"])), b"a"), Vary::without(None, b"a")), (None, None));
    }

    #[test]
    fn requests_with_other_values_have_other_keys() {
        let vary = by(&["a, b"]);
        let key = |fields: &[(&str, &str)]| {
            let mut key = b"primary".to_vec();
            vary.extend_key(&mut key, &|name, found| {
                let same = |of: &str| name == of.as_bytes();
                fields.iter().filter(|(of, _)| same(of)).for_each(|(_, value)| found(value.as_bytes()));
            });
            key
        };
        let keys = [
            key(&[]),
            key(&[("a", "")]),
            key(&[("b", "")]),
            key(&[("a", "1")]),
            key(&[("b", "1")]),
            key(&[("a", "1"), ("a", "2")]),
            key(&[("a", "1"), ("b", "2")]),
            key(&[("a", "12")]),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(key(&[("a", "1"), ("c", "9")]), key(&[("a", "1")]));
    }
}
