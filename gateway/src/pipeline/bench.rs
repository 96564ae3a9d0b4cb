//! Rewriting of heads, without the connections that they come and go over.

use turnpike_http::{HeadLimits, Method, Progress, ResponseHead};

use super::respond::bench::encode_head;
use super::route::{self, Address, Selected};
use super::{Exchange, Record, upstream_request};

/// A GET request that is routed, and the answer's head that came for it.
pub(crate) struct Routed<'x, 'a> {
    exchange: &'x Exchange<'a>,
    address: Address<'a, 'a>,
    selected: Selected<'a, 'a>,
    answer: ResponseHead,
    answer_bytes: &'a [u8],
}

impl<'x, 'a> Routed<'x, 'a> {
    /// # Errors
    /// The request leads nowhere, or the answer is none.
    pub(crate) fn new(
        exchange: &'x Exchange<'a>,
        spelling: &'a mut Vec<u8>,
        answer_bytes: &'a [u8],
    ) -> Result<Self, String> {
        let mut record = Record::begin(0);
        let nowhere = |failure| format!("the request leads nowhere: {failure:?}");
        let approached = exchange.table.approach(exchange.expected);
        let path = route::path(exchange, spelling).map_err(nowhere)?;
        let address = route::address(exchange, approached, path, &mut record).map_err(nowhere)?;
        let selected = route::look_up(exchange, &address, &mut record).map_err(nowhere)?;
        let mut answer = ResponseHead::new();
        match answer.parse(answer_bytes, Method::Get, &HeadLimits::default()) {
            Ok(Progress::Complete) => Ok(Self { exchange, address, selected, answer, answer_bytes }),
            parsed => Err(format!("the answer can't be parsed: {parsed:?}")),
        }
    }

    /// Appends the head that the upstream gets.
    pub(crate) fn encode_request(&self, out: &mut Vec<u8>) {
        let Selected { matched, integration } = &self.selected;
        upstream_request::encode(self.exchange, &self.address, (matched, integration, None), None, out);
    }

    /// Appends the head that the client gets.
    pub(crate) fn encode_answer(&self, out: &mut Vec<u8>) {
        encode_head(self.exchange, &self.address, &self.selected, (&self.answer, self.answer_bytes), out);
    }
}
