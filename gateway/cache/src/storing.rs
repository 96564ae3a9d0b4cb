//! Whether a response may be stored, and for how long (RFC 9111 3, 4.2.1; AWS: Cache settings for REST APIs).
//!
//! In API Gateway's mode the operator's time to live decides and the origin's `Cache-Control` doesn't, but for
//! `private`: such a response belongs to one caller, and so does one that sets a cookie. Those are stored only where
//! the key names the caller. AWS doesn't document which statuses it stores; here it is those of success that are
//! about a whole (2xx without 206), so that no error outlives its cause.

use crate::facts::{RequestFacts, ResponseFacts};
use crate::freshness::{Arrival, Freshness, initial_age_ms};
use crate::vary::{Varies, Vary};

/// How long a response is kept at the least that has gone stale but can be validated.
const VALIDATABLE_MS: u64 = 24 * 3600 * 1000;

/// Who decides how long a stage's responses are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The operator.
    Ttl(TtlRules),
    /// The origin.
    Origin(OriginRules),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlRules {
    /// AWS: 0 to 3,600 s, 300 s by default; 0 stores nothing.
    pub ttl_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginRules {
    /// Bounds what an origin asks for.
    pub lifetime_ms_max: u64,
    /// Where the origin doesn't say how long a stale response may be used meanwhile.
    pub stale_while_revalidate_ms: u64,
    /// Where the origin doesn't say how long a stale response may be used if it fails.
    pub stale_if_error_ms: u64,
}

/// Why a response isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Status,
    NoStore,
    /// It is for one caller, whom the key doesn't name.
    Private,
    /// `Vary: *`, or by more fields than are kept apart.
    Varies,
    /// It would have to be asked for anew each time, and gives nothing to ask by.
    Stale,
}

/// A response may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub freshness: Freshness,
    pub vary: Option<Vary>,
    /// From then on it is of no use.
    pub until_ms: u64,
}

/// Whether a response to a request is stored. `names_caller`: its key says whom it is for, by what identifies the
/// caller or by an operator's choice that does.
///
/// # Errors
/// It isn't, and why.
pub fn judge(
    mode: &Mode,
    request: &RequestFacts<'_>,
    response: &ResponseFacts<'_>,
    names_caller: bool,
    arrival: &Arrival,
) -> Result<Verdict, Refusal> {
    let vary = match &response.varies {
        Varies::No => None,
        Varies::By(vary) => Some(vary.clone()),
        Varies::Always => return Err(Refusal::Varies),
    };
    if !names_caller && (response.control.private || response.sets_cookie) {
        return Err(Refusal::Private);
    }
    match mode {
        Mode::Ttl(rules) => judge_by_ttl(rules, response, vary, arrival),
        Mode::Origin(rules) => judge_by_origin(rules, request, response, vary, names_caller, arrival),
    }
}

fn judge_by_ttl(
    rules: &TtlRules,
    response: &ResponseFacts<'_>,
    vary: Option<Vary>,
    arrival: &Arrival,
) -> Result<Verdict, Refusal> {
    if !(200..300).contains(&response.status) || response.status == 206 {
        return Err(Refusal::Status);
    }
    if rules.ttl_ms == 0 {
        return Err(Refusal::Stale);
    }
    let freshness = Freshness::lasting(arrival.now_ms, rules.ttl_ms);
    Ok(Verdict { freshness, vary, until_ms: freshness.stale_ms })
}

fn judge_by_origin(
    rules: &OriginRules,
    request: &RequestFacts<'_>,
    response: &ResponseFacts<'_>,
    vary: Option<Vary>,
    names_caller: bool,
    arrival: &Arrival,
) -> Result<Verdict, Refusal> {
    let control = &response.control;
    if !is_understood(response.status) {
        return Err(Refusal::Status);
    }
    if request.control.no_store || control.no_store {
        return Err(Refusal::NoStore);
    }
    // RFC 9111 3.5
    let shared = control.public || control.must_revalidate || control.s_maxage.is_some();
    if request.authorization.is_some() && !names_caller && !shared {
        return Err(Refusal::Private);
    }
    let freshness = origin_freshness(rules, response, arrival);
    let validatable = response.has_validator() && response.status == 200;
    let usable_ms = freshness.usable_ms.max(freshness.usable_on_error_ms);
    let usable = usable_ms > arrival.now_ms && !freshness.always_validated;
    if !usable && !validatable {
        return Err(Refusal::Stale);
    }
    let kept_ms = if validatable { freshness.stale_ms.saturating_add(VALIDATABLE_MS) } else { 0 };
    Ok(Verdict { freshness, vary, until_ms: usable_ms.max(kept_ms) })
}

/// The times of a response in HTTP's own mode, stored or revalidated.
pub(crate) fn origin_freshness(
    rules: &OriginRules,
    response: &ResponseFacts<'_>,
    arrival: &Arrival,
) -> Freshness {
    let control = &response.control;
    let lifetime_ms = lifetime_s(response, arrival).saturating_mul(1000).min(rules.lifetime_ms_max);
    let age_ms = initial_age_ms(response.date_s, response.age_s, arrival);
    let stale_ms = arrival.now_ms.saturating_add(lifetime_ms.saturating_sub(age_ms));
    let never_stale = control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some();
    // The origin's own word on staleness is more particular than what `s-maxage` implies, and less than the others.
    let forbidden = control.must_revalidate || control.proxy_revalidate || control.no_cache;
    let usable = |said_s: Option<u64>, otherwise_ms: u64| match said_s {
        _ if forbidden => stale_ms,
        Some(said_s) => stale_ms.saturating_add(said_s * 1000),
        None if never_stale => stale_ms,
        None => stale_ms.saturating_add(otherwise_ms),
    };
    Freshness {
        stored_ms: arrival.now_ms,
        age_ms,
        stale_ms,
        usable_ms: usable(control.stale_while_revalidate, rules.stale_while_revalidate_ms),
        usable_on_error_ms: usable(control.stale_if_error, rules.stale_if_error_ms),
        always_validated: control.no_cache,
        never_stale,
    }
}

/// RFC 9111 4.2.1; without a word of the origin nothing is guessed (4.2.2).
fn lifetime_s(response: &ResponseFacts<'_>, arrival: &Arrival) -> u64 {
    let control = &response.control;
    let expires_s = || {
        let date_s = response.date_s.unwrap_or(arrival.now_s);
        response.expires_s.map(|expires_s| expires_s.saturating_sub(date_s))
    };
    control.s_maxage.or(control.max_age).or_else(expires_s).unwrap_or(0)
}

/// Final statuses that mean the same whoever asks again (RFC 9110 15; RFC 9111 3).
fn is_understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300..=303 | 307 | 308 | 404 | 405 | 410 | 414 | 451 | 501)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Arrival = Arrival { now_ms: 1_000_000, now_s: 784_111_777, delay_ms: 0 };
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const ORIGIN: Mode = Mode::Origin(OriginRules {
        lifetime_ms_max: 3_600_000,
        stale_while_revalidate_ms: 0,
        stale_if_error_ms: 0,
    });
    const TTL: Mode = Mode::Ttl(TtlRules { ttl_ms: 300_000 });

    type Lines<'a> = &'a [(&'a str, &'a str)];

    fn bytes<'a>(lines: Lines<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    fn judged(mode: Mode, request: Lines<'_>, status: u16, response: Lines<'_>) -> Result<Verdict, Refusal> {
        let request = RequestFacts::gather(bytes(request));
        judge(&mode, &request, &ResponseFacts::gather(status, NOW.now_s, bytes(response)), false, &NOW)
    }

    /// Seconds that a response of 200 stays fresh.
    fn fresh_s(response: Lines<'_>) -> Result<u64, Refusal> {
        judged(ORIGIN, &[], 200, response).map(|verdict| verdict.freshness.left_ms(NOW.now_ms) / 1000)
    }

    #[test]
    fn the_origin_says_how_long() {
        for (response, expected) in [
            (&[("cache-control", "max-age=60")][..], Ok(60)),
            (&[("cache-control", "max-age=60, s-maxage=10")], Ok(10)),
            (&[("cache-control", "s-maxage=10"), ("expires", "0")], Ok(10)),
            (&[("cache-control", "max-age=60"), ("age", "25")], Ok(35)),
            (&[("cache-control", "max-age=60"), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")], Ok(30)),
            (&[("cache-control", "max-age=60"), ("date", "Sun, 06 Nov 1994 09:49:07 GMT")], Ok(60)),
            (&[("date", DATE), ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Ok(60)),
            (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Ok(60)),
            (&[("cache-control", "max-age=999999999")], Ok(3_600)),
            (&[("cache-control", "max-age=0")], Err(Refusal::Stale)),
            (&[("cache-control", "max-age=0, stale-while-revalidate=5")], Ok(0)),
            (&[("cache-control", "max-age=0, stale-if-error=5")], Ok(0)),
            (&[("cache-control", "max-age=0, stale-if-error=5, must-revalidate")], Err(Refusal::Stale)),
            (&[("cache-control", "max-age=60"), ("age", "60")], Err(Refusal::Stale)),
            (&[("date", DATE), ("expires", DATE)], Err(Refusal::Stale)),
            (&[("expires", "0")], Err(Refusal::Stale)),
            (&[("last-modified", "Sun, 06 Nov 1993 08:50:37 GMT"), ("expires", "0")], Ok(0)),
            (&[], Err(Refusal::Stale)),
            (&[("etag", "\"a\"")], Ok(0)),
            (&[("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")], Ok(60)),
            (&[("cache-control", "no-cache, max-age=60")], Err(Refusal::Stale)),
            (&[("cache-control", "no-store, max-age=60")], Err(Refusal::NoStore)),
            (&[("cache-control", "private, max-age=60")], Err(Refusal::Private)),
            (&[("cache-control", "max-age=60"), ("set-cookie", "a=b")], Err(Refusal::Private)),
            (&[("cache-control", "max-age=60"), ("vary", "*")], Err(Refusal::Varies)),
        ] {
            assert_eq!(fresh_s(response), expected, "{response:?}");
        }
    }

    #[test]
    fn a_request_forbids_or_is_for_one_caller() {
        let public = [("cache-control", "max-age=60, public")];
        let plain = [("cache-control", "max-age=60")];
        for (request, response, expected) in [
            (&[("cache-control", "no-store")][..], &plain[..], Err(Refusal::NoStore)),
            (&[("authorization", "x")], &plain, Err(Refusal::Private)),
            (&[("authorization", "x")], &public, Ok(())),
            (&[("authorization", "x")], &[("cache-control", "s-maxage=60")], Ok(())),
            (&[("authorization", "x")], &[("cache-control", "max-age=60, must-revalidate")], Ok(())),
            (
                &[("authorization", "x")],
                &[("cache-control", "public, private, max-age=60")],
                Err(Refusal::Private),
            ),
        ] {
            let judged = judged(ORIGIN, request, 200, response).map(|_| ());
            assert_eq!(judged, expected, "{request:?} {response:?}");
        }
    }

    #[test]
    fn a_key_that_names_the_caller_may_hold_what_is_the_callers() {
        let request = RequestFacts::gather(bytes(&[("authorization", "x")]));
        let said = [("cache-control", "private, max-age=60"), ("set-cookie", "a=b")];
        let response = ResponseFacts::gather(200, NOW.now_s, bytes(&said));
        for mode in [TTL, ORIGIN] {
            assert!(judge(&mode, &request, &response, true, &NOW).is_ok());
            assert_eq!(judge(&mode, &request, &response, false, &NOW), Err(Refusal::Private));
        }
    }

    #[test]
    fn statuses() {
        let said = [("cache-control", "max-age=60")];
        for status in 200..600 {
            let ttl = judged(TTL, &[], status, &said).is_ok();
            assert_eq!(ttl, status < 300 && status != 206, "{status}");
        }
        for (status, expected) in
            [(200, true), (206, false), (304, false), (404, true), (500, false), (503, false)]
        {
            assert_eq!(judged(ORIGIN, &[], status, &said).is_ok(), expected, "{status}");
        }
    }

    #[test]
    fn the_operators_time_to_live_stands_whatever_the_origin_says() {
        for said in
            [&[][..], &[("cache-control", "no-store, max-age=0")], &[("expires", "0"), ("age", "9999")]]
        {
            let verdict = judged(TTL, &[("cache-control", "no-store")], 200, said).unwrap();
            assert_eq!(verdict.freshness.left_ms(NOW.now_ms), 300_000, "{said:?}");
            assert_eq!(verdict.until_ms, NOW.now_ms + 300_000);
        }
        assert_eq!(judged(TTL, &[], 200, &[("vary", "*")]), Err(Refusal::Varies));
        assert_eq!(judged(Mode::Ttl(TtlRules { ttl_ms: 0 }), &[], 200, &[]), Err(Refusal::Stale));
    }

    #[test]
    fn how_long_a_stale_one_may_be_used() {
        let times = |said: &str| {
            let verdict = judged(ORIGIN, &[], 200, &[("cache-control", said)]).unwrap();
            let freshness = verdict.freshness;
            (freshness.usable_ms - freshness.stale_ms, freshness.usable_on_error_ms - freshness.stale_ms)
        };
        assert_eq!(times("max-age=60"), (0, 0));
        assert_eq!(times("max-age=60, stale-while-revalidate=30"), (30_000, 0));
        assert_eq!(times("max-age=60, stale-if-error=600"), (0, 600_000));
        assert_eq!(times("s-maxage=60, stale-if-error=600"), (0, 600_000));
        for forbidding in ["must-revalidate", "proxy-revalidate"] {
            let said = format!("max-age=60, {forbidding}, stale-if-error=600, stale-while-revalidate=30");
            assert_eq!(times(&said), (0, 0), "{forbidding}");
        }
    }

    #[test]
    fn the_operator_may_allow_staleness_where_the_origin_says_nothing() {
        let rules = OriginRules {
            lifetime_ms_max: 60_000,
            stale_while_revalidate_ms: 5_000,
            stale_if_error_ms: 7_000,
        };
        let times = |said: &str| {
            let verdict = judged(Mode::Origin(rules), &[], 200, &[("cache-control", said)]).unwrap();
            let freshness = verdict.freshness;
            (freshness.usable_ms - freshness.stale_ms, freshness.usable_on_error_ms - freshness.stale_ms)
        };
        assert_eq!(times("max-age=60"), (5_000, 7_000));
        assert_eq!(times("max-age=60, stale-if-error=0"), (5_000, 0));
        assert_eq!(times("s-maxage=60"), (0, 0));
        assert_eq!(times("max-age=60, must-revalidate"), (0, 0));
    }

    #[test]
    fn numbers_at_their_bounds_do_not_overflow() {
        let said =
            [("cache-control", "max-age=99999999999, stale-if-error=99999999999"), ("age", "99999999999")];
        let arrival = Arrival { now_ms: u64::MAX - 5, now_s: u64::MAX / 2000, delay_ms: 0 };
        let request = RequestFacts::default();
        let response = ResponseFacts::gather(200, arrival.now_s, bytes(&said));
        let _ = judge(&ORIGIN, &request, &response, false, &arrival);
    }
}
