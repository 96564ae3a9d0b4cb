//! Identify: who calls a route that asks for an API key.
//!
//! The key comes in `x-api-key`, and has to be enabled and in a usage plan that has the stage; everything else is refused
//! with AWS's 403, which doesn't say what was wrong. (AWS: usage plans and API keys for REST APIs.)

use turnpike_http::HeaderName;

use super::route::Selected;
use super::{Exchange, Failure, Record, Refusal};
use crate::table::{Address, Caller, Stage};

pub(super) fn check<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    record: &mut Record<'a>,
) -> Result<Option<Caller<'a>>, Failure> {
    if !selected.matched.route.api_key_required {
        return Ok(None);
    }
    let caller = caller(exchange, address.stage).ok_or(Refusal::ApiKey(address.stage.protocol))?;
    record.caller = Some(caller);
    Ok(Some(caller))
}

/// Who shows a key that may use the stage.
pub(super) fn caller<'a>(exchange: &Exchange<'a>, stage: &Stage) -> Option<Caller<'a>> {
    shown(exchange).and_then(|value| exchange.table.callers.look_up(value, stage))
}

/// Of two that are shown, none is taken: whoever reads them behind the gateway may take the other.
fn shown<'a>(exchange: &Exchange<'a>) -> Option<&'a [u8]> {
    let mut lines = exchange.head.headers.iter().filter(|header| header.name == HeaderName::XApiKey);
    let value = lines.next()?.value_span.of(exchange.bytes);
    lines.next().is_none().then_some(value)
}
