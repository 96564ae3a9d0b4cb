//! AWS's security policies, and what of TLS each allows here.
//!
//! A policy is taken when a gateway can hold to its floor. Of its cipher suites a gateway has those with forward
//! secrecy and authenticated encryption; the others (CBC, static RSA) are left out of every policy. Source:
//! 'Security policies' in the API Gateway developer guide; suites by IANA's numbers.

use turnpike_snapshot::TlsVersion;

/// What domains get that name none.
pub const DEFAULT_SECURITY_POLICY: &str = "TLS_1_2";

/// TLS 1.3, in the order of RFC 8446 B.4.
const SUITES_13: [u16; 3] = [0x1301, 0x1302, 0x1303];
/// ECDHE with AES-GCM, besides those of TLS 1.3.
const SUITES_12: [u16; 7] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030];
/// The same, and ChaCha20-Poly1305.
const SUITES_12_CHACHA: [u16; 9] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];

/// What a policy comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityPolicy {
    pub version_min: TlsVersion,
    /// In order of preference.
    pub cipher_suites: &'static [u16],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecurityPolicyError {
    #[error("securityPolicy '{0}' doesn't exist")]
    Unknown(String),
    #[error("securityPolicy '{name}' is not supported by this version of Turnpike: {why}")]
    Unsupported { name: &'static str, why: &'static str },
}

type Row = (&'static str, Result<SecurityPolicy, &'static str>);

const ONLY_13: Result<SecurityPolicy, &str> =
    Ok(SecurityPolicy { version_min: TlsVersion::Tls13, cipher_suites: &SUITES_13 });
const FROM_12: Result<SecurityPolicy, &str> =
    Ok(SecurityPolicy { version_min: TlsVersion::Tls12, cipher_suites: &SUITES_12 });
const FROM_12_CHACHA: Result<SecurityPolicy, &str> =
    Ok(SecurityPolicy { version_min: TlsVersion::Tls12, cipher_suites: &SUITES_12_CHACHA });
const OLD: Result<SecurityPolicy, &str> = Err("gateways have no TLS below 1.2");
const FIPS: Result<SecurityPolicy, &str> = Err("gateways have no FIPS-validated cryptography");
const POST_QUANTUM: Result<SecurityPolicy, &str> = Err("gateways have no post-quantum key exchange");

const TABLE: [Row; 14] = [
    ("TLS_1_0", OLD),
    ("TLS_1_2", FROM_12_CHACHA),
    ("SecurityPolicy_TLS13_1_3_2025_09", ONLY_13),
    ("SecurityPolicy_TLS13_1_3_FIPS_2025_09", FIPS),
    ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", POST_QUANTUM),
    ("SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09", FIPS),
    ("SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09", FIPS),
    ("SecurityPolicy_TLS13_1_2_Ext2_PQ_2025_09", POST_QUANTUM),
    ("SecurityPolicy_TLS13_1_2_Ext2_FIPS_PQ_2025_09", FIPS),
    ("SecurityPolicy_TLS13_1_2_PQ_2025_09", POST_QUANTUM),
    ("SecurityPolicy_TLS13_1_2_2021_06", FROM_12),
    ("SecurityPolicy_TLS13_2025_EDGE", ONLY_13),
    ("SecurityPolicy_TLS12_PFS_2025_EDGE", FROM_12_CHACHA),
    ("SecurityPolicy_TLS12_2018_EDGE", FROM_12_CHACHA),
];

/// What the policy of this name comes to.
///
/// # Errors
/// When there is none, or it asks for what gateways don't have.
pub fn security_policy(name: &str) -> Result<SecurityPolicy, SecurityPolicyError> {
    match TABLE.iter().find(|(known, _)| *known == name) {
        Some((_, Ok(policy))) => Ok(*policy),
        Some((name, Err(why))) => Err(SecurityPolicyError::Unsupported { name, why }),
        None => Err(SecurityPolicyError::Unknown(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_taken_when_their_floor_holds() {
        assert_eq!(security_policy(DEFAULT_SECURITY_POLICY).map(|p| p.version_min), Ok(TlsVersion::Tls12));
        assert_eq!(security_policy("SecurityPolicy_TLS13_1_3_2025_09").map(|p| p.cipher_suites.len()), Ok(3));
        for (name, expected) in [
            ("TLS_1_0", "below 1.2"),
            ("SecurityPolicy_TLS13_1_3_FIPS_2025_09", "FIPS"),
            ("SecurityPolicy_TLS13_1_2_PQ_2025_09", "post-quantum"),
            ("TLS_1_1", "doesn't exist"),
        ] {
            let error = security_policy(name).expect_err(name).to_string();
            assert!(error.contains(expected) && error.contains(name), "{error}");
        }
        for (name, policy) in TABLE {
            let Ok(policy) = policy else { continue };
            let has_12 = policy.cipher_suites.iter().any(|suite| suite >> 8 != 0x13);
            assert_eq!(has_12, policy.version_min == TlsVersion::Tls12, "{name}");
        }
    }
}
