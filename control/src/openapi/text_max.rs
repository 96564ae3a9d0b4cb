//! Texts of a document that the operations take in part only. A longer one is left out, and told of: what describes an
//! API in full is its documentation.

use serde_json::{Map, Value};

use super::document::Node;
use super::problems::Problems;

/// AWS's limits, in characters.
pub(super) const DESCRIPTION_CHARS_MAX: usize = 1_024;
pub(super) const VERSION_CHARS_MAX: usize = 64;
pub(super) const ROUTE_OPERATION_NAME_CHARS_MAX: usize = 64;
pub(super) const METHOD_OPERATION_NAME_CHARS_MAX: usize = 1_024;

/// Puts the node's text, unless it has none or an empty one.
pub(super) fn insert_text(
    members: &mut Map<String, Value>,
    name: &str,
    node: &Node<'_>,
    written: &str,
    chars_max: usize,
    problems: &mut Problems,
) {
    let Some(text) = node.text_of(written).filter(|text| !text.is_empty()) else { return };
    if text.chars().count() > chars_max {
        let message = format_args!("{name} can have {chars_max} characters, and this one is left out");
        problems.warn(&node.place.at(written), message);
    } else {
        members.insert(name.to_owned(), text.into());
    }
}
