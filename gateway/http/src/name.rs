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
        let same_length: &[(&str, Self)] = match name.len() {
            2 => &[("te", Self::Te)],
            3 => &[("via", Self::Via)],
            4 => &[("host", Self::Host), ("date", Self::Date)],
            6 => &[
                ("cookie", Self::Cookie),
                ("expect", Self::Expect),
                ("origin", Self::Origin),
                ("server", Self::Server),
            ],
            7 => &[("trailer", Self::Trailer), ("upgrade", Self::Upgrade)],
            9 => &[("forwarded", Self::Forwarded), ("x-api-key", Self::XApiKey)],
            10 => &[
                ("connection", Self::Connection),
                ("user-agent", Self::UserAgent),
                ("keep-alive", Self::KeepAlive),
                ("set-cookie", Self::SetCookie),
                ("x-amz-date", Self::XAmzDate),
            ],
            12 => &[("content-type", Self::ContentType)],
            13 => &[("authorization", Self::Authorization)],
            14 => &[("content-length", Self::ContentLength), ("http2-settings", Self::Http2Settings)],
            15 => &[("x-forwarded-for", Self::XForwardedFor), ("x-amzn-trace-id", Self::XAmznTraceId)],
            16 => &[
                ("www-authenticate", Self::WwwAuthenticate),
                ("content-encoding", Self::ContentEncoding),
                ("proxy-connection", Self::ProxyConnection),
                ("x-forwarded-host", Self::XForwardedHost),
                ("x-forwarded-port", Self::XForwardedPort),
                ("x-amzn-requestid", Self::XAmznRequestId),
            ],
            17 => {
                &[("transfer-encoding", Self::TransferEncoding), ("x-forwarded-proto", Self::XForwardedProto)]
            }
            18 => &[("proxy-authenticate", Self::ProxyAuthenticate)],
            19 => &[("proxy-authorization", Self::ProxyAuthorization)],
            20 => &[
                ("x-amz-security-token", Self::XAmzSecurityToken),
                ("x-amz-content-sha256", Self::XAmzContentSha256),
            ],
            25 => &[("proxy-authentication-info", Self::ProxyAuthenticationInfo)],
            _ => &[],
        };
        same_length
            .iter()
            .find(|(known, _)| is_same_token(name, known.as_bytes()))
            .map_or_else(|| Self::family(name), |(_, name)| *name)
    }

    /// A name that isn't known by itself.
    fn family(name: &[u8]) -> Self {
        const X_FORWARDED: &[u8] = b"x-forwarded-";
        if name.contains(&b'_') {
            return Self::lookalike(name);
        }
        match name.get(..X_FORWARDED.len()) {
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

/// Whether a token is `known`, which is in lower case and as long: setting bit 5 lowers letters, and no byte of
/// a token but a letter's upper case becomes a letter, a digit or `-` by it. Eight bytes at a time, the last of them
/// looked at twice where the length is no multiple.
fn is_same_token(token: &[u8], known: &[u8]) -> bool {
    let mut at = 0;
    while let (Some(some), Some(same)) = (chunk(token, at), chunk(known, at)) {
        if some | LOWERED != same {
            return false;
        }
        match token.len() - at {
            8 => return true,
            left => at += (left - 8).min(8),
        }
    }
    token.iter().zip(known).fold(0, |differing, (byte, known)| differing | ((byte | 0x20) ^ known)) == 0
}

const LOWERED: u64 = u64::from_ne_bytes([0x20; 8]);

#[inline]
fn chunk(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_to_their_last_byte_in_any_case() {
        let known: Vec<u8> = (0..40).map(|index| b"abz09-"[index % 6]).collect();
        for length in 0..known.len() {
            let known = &known[..length];
            assert!(is_same_token(known, known) && is_same_token(&known.to_ascii_uppercase(), known));
            for differing in 0..length {
                let mut token = known.to_vec();
                token[differing] = b'x';
                assert!(!is_same_token(&token, known), "byte {differing} of {length}");
            }
        }
    }
}
