//! Identify: who calls a route that asks for an API key.
//!
//! The key comes in `x-api-key`, and has to be enabled and in a usage plan that has the stage; everything else is refused
//! with AWS's 403, which doesn't say what was wrong. (AWS: usage plans and API keys for REST APIs.)

use turnpike_http::HeaderName;

use super::route::{Address, Selected};
use super::{Exchange, Failure, Record, Refusal};
use crate::table::{Caller, Shown, Stage};

/// What the caller shows, of a stage some of whose routes ask for a key: made ready to be looked up while the route is.
pub(super) fn expect(exchange: &Exchange<'_>, stage: &Stage) -> Option<Shown> {
    if !stage.asks_for_keys {
        return None;
    }
    shown(exchange).map(|value| exchange.table.callers.expect(value))
}

pub(super) fn check<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    shown: Option<Shown>,
    record: &mut Record<'a>,
) -> Result<Option<Caller<'a>>, Failure> {
    if !selected.matched.route.api_key_required {
        return Ok(None);
    }
    let caller = shown.and_then(|shown| exchange.table.callers.look_up(&shown, address.stage));
    let caller = caller.ok_or(Refusal::ApiKey(address.stage.protocol))?;
    record.caller = Some(caller);
    Ok(Some(caller))
}

/// Who shows a key that may use the stage.
pub(super) fn caller<'a>(exchange: &Exchange<'a>, stage: &Stage) -> Option<Caller<'a>> {
    expect(exchange, stage).and_then(|shown| exchange.table.callers.look_up(&shown, stage))
}

/// Of two that are shown, none is taken: whoever reads them behind the gateway may take the other.
fn shown<'a>(exchange: &Exchange<'a>) -> Option<&'a [u8]> {
    let mut lines = exchange.head.headers.iter().filter(|header| header.name == HeaderName::XApiKey);
    let value = lines.next()?.value_span.of(exchange.bytes);
    lines.next().is_none().then_some(value)
}
