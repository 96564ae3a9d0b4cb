//! What a route is called, lying in the route itself: what decides a look-up comes with the route's first cache line.

/// So that a key and what else a look-up reads of a route are one line.
const BYTES_INSIDE_MAX: usize = 54;

/// `GET /pets/{id}`, `$default`
#[derive(Debug)]
pub(crate) struct RouteKey(Kept);

#[derive(Debug)]
enum Kept {
    Inside { length: u8, bytes: [u8; BYTES_INSIDE_MAX] },
    Outside(Box<str>),
}

impl RouteKey {
    pub(super) fn new(key: Box<str>) -> Self {
        let mut bytes = [0; BYTES_INSIDE_MAX];
        Self(match bytes.get_mut(..key.len()) {
            None => Kept::Outside(key),
            Some(start) => {
                start.copy_from_slice(key.as_bytes());
                // At most 54.
                Kept::Inside { length: key.len() as u8, bytes }
            }
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Inside { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Kept::Outside(key) => key.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            // It was made from one.
            Kept::Inside { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Kept::Outside(key) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_what_they_were() {
        for length in [0, 1, BYTES_INSIDE_MAX - 1, BYTES_INSIDE_MAX, BYTES_INSIDE_MAX + 1, 300] {
            let text = "é/".repeat(length)[..length / 3 * 3].to_owned() + &"x".repeat(length % 3);
            let key = RouteKey::new(text.as_str().into());
            assert_eq!((key.as_str(), key.as_bytes()), (text.as_str(), text.as_bytes()));
        }
    }
}
