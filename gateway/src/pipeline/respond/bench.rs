//! An answer's head as a client gets it, over and over.

use std::cell::Cell;

use turnpike_http::{Method, ResponseHead};

use super::super::Exchange;
use super::super::compress::Edits;
use super::super::route::{Address, Selected};
use super::Download;

/// Appends the head that a client gets instead of the upstream's, which `input` begins with.
pub(crate) fn encode_head(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    selected: &Selected<'_, '_>,
    (head, input): (&ResponseHead, &[u8]),
    out: &mut Vec<u8>,
) {
    let download = Download {
        exchange,
        protocol: address.stage.protocol,
        integration: selected.integration,
        method: Method::Get,
        compression: None,
        tee: None,
        began: Cell::new(false),
        uploaded: Cell::new(true),
        upload: None,
    };
    let kept = exchange.keeps() && !download.ends_with_close(head);
    download.encode_head(head, input, download.coding(head), kept, Edits::default(), out);
}
