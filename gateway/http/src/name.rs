//! The header fields that the data plane treats apart, recognised once while a head is parsed.

/// A field's name, as far as the gateway cares; `Other` is known by its bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderName {
    Other,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    /// `Content-Length` or `Transfer-Encoding` with an underscore for the hyphen.
    FramingLookalike,
    Host,
    Http2Settings,
    KeepAlive,
    Origin,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyConnection,
    Server,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    WwwAuthenticate,
    XAmzContentSha256,
    XAmzDate,
    XAmzSecurityToken,
    XAmznRequestId,
    XAmznTraceId,
    XApiKey,
    XForwardedFor,
    XForwardedHost,
    /// Any other `X-Forwarded-…`.
    XForwardedOther,
    XForwardedPort,
    XForwardedProto,
}

impl HeaderName {
    /// Recognises a name in any case.
    pub fn classify(name: &[u8]) -> Self {
        let known = match name.len() {
            2 => find(name, [(b"te", Self::Te)]),
            3 => find(name, [(b"via", Self::Via)]),
            4 => find(name, [(b"host", Self::Host), (b"date", Self::Date)]),
            6 => find(
                name,
                [
                    (b"cookie", Self::Cookie),
                    (b"expect", Self::Expect),
                    (b"origin", Self::Origin),
                    (b"server", Self::Server),
                ],
            ),
            7 => find(name, [(b"trailer", Self::Trailer), (b"upgrade", Self::Upgrade)]),
            9 => find(name, [(b"forwarded", Self::Forwarded), (b"x-api-key", Self::XApiKey)]),
            10 => find(
                name,
                [
                    (b"connection", Self::Connection),
                    (b"user-agent", Self::UserAgent),
                    (b"keep-alive", Self::KeepAlive),
                    (b"set-cookie", Self::SetCookie),
                    (b"x-amz-date", Self::XAmzDate),
                ],
            ),
            12 => find(name, [(b"content-type", Self::ContentType)]),
            13 => find(name, [(b"authorization", Self::Authorization)]),
            14 => find(
                name,
                [(b"content-length", Self::ContentLength), (b"http2-settings", Self::Http2Settings)],
            ),
            15 => find(
                name,
                [(b"x-forwarded-for", Self::XForwardedFor), (b"x-amzn-trace-id", Self::XAmznTraceId)],
            ),
            16 => find(
                name,
                [
                    (b"www-authenticate", Self::WwwAuthenticate),
                    (b"content-encoding", Self::ContentEncoding),
                    (b"proxy-connection", Self::ProxyConnection),
                    (b"x-forwarded-host", Self::XForwardedHost),
                    (b"x-forwarded-port", Self::XForwardedPort),
                    (b"x-amzn-requestid", Self::XAmznRequestId),
                ],
            ),
            17 => find(
                name,
                [
                    (b"transfer-encoding", Self::TransferEncoding),
                    (b"x-forwarded-proto", Self::XForwardedProto),
                ],
            ),
            18 => find(name, [(b"proxy-authenticate", Self::ProxyAuthenticate)]),
            19 => find(name, [(b"proxy-authorization", Self::ProxyAuthorization)]),
            20 => find(
                name,
                [
                    (b"x-amz-security-token", Self::XAmzSecurityToken),
                    (b"x-amz-content-sha256", Self::XAmzContentSha256),
                ],
            ),
            25 => find(name, [(b"proxy-authentication-info", Self::ProxyAuthenticationInfo)]),
            _ => None,
        };
        known.unwrap_or_else(|| Self::family(name))
    }

    /// A name that isn't known by itself.
    fn family(name: &[u8]) -> Self {
        const X_FORWARDED: &[u8; 12] = b"x-forwarded-";
        if name.contains(&b'_') {
            return Self::lookalike(name);
        }
        match name.first_chunk() {
            Some(beginning) if is_same_token(beginning, X_FORWARDED) => Self::XForwardedOther,
            _ => Self::Other,
        }
    }

    /// CGI and its descendants write hyphens as underscores, so that their programs can't tell both apart.
    fn lookalike(name: &[u8]) -> Self {
        // Longer than every known name: what doesn't fit can only be of a family.
        let mut hyphenated = [0; 32];
        for (place, byte) in hyphenated.iter_mut().zip(name) {
            *place = if *byte == b'_' { b'-' } else { *byte };
        }
        match Self::classify(&hyphenated[..name.len().min(32)]) {
            Self::ContentLength | Self::TransferEncoding => Self::FramingLookalike,
            Self::XForwardedFor
            | Self::XForwardedHost
            | Self::XForwardedOther
            | Self::XForwardedPort
            | Self::XForwardedProto => Self::XForwardedOther,
            _ => Self::Other,
        }
    }

    /// Fields of one connection whatever `Connection` says: RFC 9110 7.6.1, the `Proxy-Auth*` fields of
    /// 11.7 that only the next hop may use, and the upgrade offer of RFC 7540 3.2.1.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthenticationInfo
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Fields that no `Connection` option may name.
    ///
    /// RFC 9110 7.6.1 forbids senders to nominate what is meant for every recipient, yet tells a proxy to
    /// remove whatever is nominated; a client can use the gap to take away what a gateway or the upstream
    /// behind it decides by (credentials, framing, the client's address). A message that tries is refused.
    pub fn is_end_to_end(self) -> bool {
        matches!(
            self,
            Self::Authorization
                | Self::ContentEncoding
                | Self::ContentLength
                | Self::ContentType
                | Self::Cookie
                | Self::Date
                | Self::Expect
                | Self::Forwarded
                | Self::Host
                | Self::Origin
                | Self::SetCookie
                | Self::Via
                | Self::XAmzContentSha256
                | Self::XAmzDate
                | Self::XAmzSecurityToken
                | Self::XAmznRequestId
                | Self::XAmznTraceId
                | Self::XApiKey
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedOther
                | Self::XForwardedPort
                | Self::XForwardedProto
        )
    }
}

/// The name among those of its length. Inlined: lengths that are constants make each comparison a few instructions.
#[inline(always)]
fn find<const BYTES: usize, const COUNT: usize>(
    name: &[u8],
    known: [(&[u8; BYTES], HeaderName); COUNT],
) -> Option<HeaderName> {
    let name: &[u8; BYTES] = name.try_into().ok()?;
    known.into_iter().find(|(known, _)| is_same_token(name, known)).map(|(_, found)| found)
}

/// Whether a token is `known`, which is in lower case: setting bit 5 lowers letters, and no byte of a token but a letter's
/// upper case becomes a letter, a digit or `-` by it. Eight, four or two bytes at a time, the last of them looked at twice
/// where the length is no multiple.
#[inline(always)]
fn is_same_token<const BYTES: usize>(token: &[u8; BYTES], known: &[u8; BYTES]) -> bool {
    match BYTES {
        0..2 => token.iter().zip(known).all(|(byte, known)| byte | LOWERED == *known),
        2..4 => is_same_by(token, known, |bytes: [u8; 2]| {
            u64::from(u16::from_ne_bytes(bytes) | u16::from_ne_bytes([LOWERED; 2]))
        }),
        4..8 => is_same_by(token, known, |bytes: [u8; 4]| {
            u64::from(u32::from_ne_bytes(bytes) | u32::from_ne_bytes([LOWERED; 4]))
        }),
        _ => is_same_by(token, known, |bytes: [u8; 8]| {
            u64::from_ne_bytes(bytes) | u64::from_ne_bytes([LOWERED; 8])
        }),
    }
}

/// `known` has bit 5 set in each byte, so that lowering leaves it as it is.
#[inline(always)]
fn is_same_by<const BYTES: usize, const CHUNK: usize>(
    token: &[u8; BYTES],
    known: &[u8; BYTES],
    lowered: impl Fn([u8; CHUNK]) -> u64,
) -> bool {
    let differs = |at: usize| {
        let (some, same) = (token[at..].first_chunk(), known[at..].first_chunk());
        some.zip(same).is_none_or(|(some, same)| lowered(*some) != lowered(*same))
    };
    !(0..BYTES / CHUNK).any(|index| differs(index * CHUNK)) && !differs(BYTES - CHUNK)
}

const LOWERED: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_to_their_last_byte_in_any_case() {
        compare::<0>();
        compare::<1>();
        compare::<2>();
        compare::<3>();
        compare::<4>();
        compare::<5>();
        compare::<7>();
        compare::<8>();
        compare::<9>();
        compare::<15>();
        compare::<16>();
        compare::<17>();
        compare::<23>();
        compare::<25>();
        compare::<32>();
    }

    fn compare<const BYTES: usize>() {
        let known: [u8; BYTES] = std::array::from_fn(|index| b"abz09-"[index % 6]);
        assert!(is_same_token(&known, &known));
        assert!(is_same_token(&known.map(|byte| byte.to_ascii_uppercase()), &known));
        for differing in 0..BYTES {
            let mut token = known;
            token[differing] = b'x';
            assert!(!is_same_token(&token, &known), "byte {differing} of {BYTES}");
        }
    }

    #[test]
    fn names_are_known_by_their_length_and_all_of_their_bytes() {
        for (name, known) in [
            ("Te", HeaderName::Te),
            ("VIA", HeaderName::Via),
            ("hOsT", HeaderName::Host),
            ("date", HeaderName::Date),
            ("Origin", HeaderName::Origin),
            ("Upgrade", HeaderName::Upgrade),
            ("X-Api-Key", HeaderName::XApiKey),
            ("X-Amz-Date", HeaderName::XAmzDate),
            ("Content-Length", HeaderName::ContentLength),
            ("X-Amzn-Trace-Id", HeaderName::XAmznTraceId),
            ("X-Amzn-RequestId", HeaderName::XAmznRequestId),
            ("Transfer-Encoding", HeaderName::TransferEncoding),
            ("X-Amz-Content-Sha256", HeaderName::XAmzContentSha256),
            ("Proxy-Authentication-Info", HeaderName::ProxyAuthenticationInfo),
            ("Content_Length", HeaderName::FramingLookalike),
            ("X-Forwarded-By", HeaderName::XForwardedOther),
        ] {
            assert_eq!(HeaderName::classify(name.as_bytes()), known, "{name}");
            for changed in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[changed] ^= 1;
                let family = matches!(known, HeaderName::FramingLookalike | HeaderName::XForwardedOther);
                if !family {
                    assert_eq!(HeaderName::classify(&other), HeaderName::Other, "{name} at {changed}");
                }
            }
        }
    }
}
