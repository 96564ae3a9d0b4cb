//! Which units a stage's unit needs beside it in the root.

use turnpike_snapshot::StageUnit;

/// A unit that is in the root because a stage's refers to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub kind: ReferenceKind,
    /// The unit's own id.
    pub id: String,
}

/// What a stage can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    ClientCertificate,
    TargetGroup,
    /// Authorities that upstreams are verified against.
    UpstreamTrustStore,
}

impl ReferenceKind {
    pub const ALL: [Self; 3] = [Self::ClientCertificate, Self::TargetGroup, Self::UpstreamTrustStore];

    /// As the store keeps it; never changes once released.
    #[must_use]
    pub fn family(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client-certificate",
            Self::TargetGroup => "target-group",
            Self::UpstreamTrustStore => "upstream-trust-store",
        }
    }

    #[must_use]
    pub fn of_family(family: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.family() == family)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.family(), self.id)
    }
}

/// All that the stage refers to; an id can come more than once.
#[must_use]
pub fn references(stage: &StageUnit) -> Vec<Reference> {
    let proxies = stage.all_integrations().filter_map(|integration| integration.kind.proxy());
    proxies
        .flat_map(|proxy| {
            let tls = proxy.tls.as_ref();
            [
                (ReferenceKind::TargetGroup, proxy.target_group.as_ref()),
                (ReferenceKind::UpstreamTrustStore, tls.and_then(|tls| tls.trust_store.as_ref())),
                (ReferenceKind::ClientCertificate, tls.and_then(|tls| tls.client_certificate.as_ref())),
            ]
        })
        .filter_map(|(kind, id)| id.map(|id| Reference { kind, id: id.clone() }))
        .collect()
}
