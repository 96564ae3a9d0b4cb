//! What a certificate authority is answered that looks whether a name is ours (RFC 8555 8.3).

use rustc_hash::FxHashMap;
use turnpike_snapshot::AcmeChallenge;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// Open challenges; nearly always none.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    by_host: FxHashMap<Box<str>, Vec<Challenge>>,
}

#[derive(Debug)]
struct Challenge {
    token: Box<str>,
    answer: Box<str>,
}

impl Challenges {
    pub(super) fn compile(open: &[AcmeChallenge]) -> Self {
        let mut by_host: FxHashMap<Box<str>, Vec<Challenge>> = FxHashMap::default();
        for challenge in open {
            by_host.entry(challenge.host.as_str().into()).or_default().push(Challenge {
                token: challenge.token.as_str().into(),
                answer: challenge.key_authorization.as_str().into(),
            });
        }
        Self { by_host }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_host.is_empty()
    }

    /// The key authorization that answers at a lower-case host and a normalized path.
    pub(super) fn answer(&self, host: &str, path: &str) -> Option<&str> {
        let asked = path.strip_prefix(PREFIX)?;
        let open = self.by_host.get(host)?;
        open.iter().find(|challenge| *challenge.token == *asked).map(|challenge| &*challenge.answer)
    }
}
