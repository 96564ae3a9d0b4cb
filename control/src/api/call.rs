//! A call as its handler sees it, and the shapes that all answers share.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::access::Caller;
use super::content::Content;
use super::error::ApiError;
use super::members::Members;
use crate::hex;
use crate::openapi::Document;
use crate::store::Page;

/// A verified call of a known operation.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// What the variables of the operation's URI stand for, in its order.
    pub(super) parameters: Vec<String>,
    /// Without `?`, as sent.
    pub(super) query: String,
    /// The header of this name, empty when it isn't there.
    pub(super) accept: String,
    pub(super) content: Content,
    /// What the body of an import says, where another operation has read it already.
    pub(super) document: Option<Arc<Document>>,
    /// Of a call that is made of other operations, the user, who has to be allowed each of them; `None` may do all.
    pub(super) user: Option<Arc<Caller>>,
}

impl Call {
    /// A call that another operation makes; `null` is no body.
    pub(super) fn inner(parameters: &[&str], body: &Value) -> Self {
        Self {
            parameters: parameters.iter().map(|parameter| (*parameter).to_owned()).collect(),
            query: String::new(),
            accept: String::new(),
            content: Content::of(body),
            document: None,
            user: None,
        }
    }

    /// The path's variable at this place; a handler knows how many its operation has.
    pub(super) fn parameter(&self, at: usize) -> &str {
        self.parameters.get(at).map_or("", String::as_str)
    }

    /// # Errors
    /// When the body isn't a JSON object.
    pub(super) fn members(&self) -> Result<Members, ApiError> {
        self.content.members()
    }

    /// All values of a query parameter, decoded.
    pub(super) fn query_values(&self, name: &str) -> Vec<String> {
        query_values(&self.query, name)
    }

    /// The value of a query parameter that can come once; an empty one is absent.
    ///
    /// # Errors
    /// When it comes twice.
    pub(super) fn query_value(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.query_values(name);
        match values.len() {
            0 | 1 => Ok(values.pop().filter(|value| !value.is_empty())),
            _ => Err(ApiError::bad_request(format!("The query parameter {name} comes twice"))),
        }
    }

    /// A query parameter that says yes or no; absent, it says no.
    ///
    /// # Errors
    /// When it says something else, or comes twice.
    pub(super) fn query_flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.query_value(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(ApiError::bad_request(format!("{name} has to be true or false, not '{other}'")))
            }
        }
    }

    /// What a list was asked for, by the service's names for its parameters.
    ///
    /// # Errors
    /// When the number isn't one, the token wasn't made here, or either comes twice.
    pub(super) fn paging(&self, names: &PagingNames) -> Result<Paging, ApiError> {
        let limit = match self.query_value(names.limit)? {
            None => names.limit_default,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                    ApiError::bad_request(format!("{} has to be 1 to {LIMIT_MAX}", names.limit))
                })?
            }
        };
        let after = match self.query_value(names.token)? {
            None => String::new(),
            Some(token) => token_id(&token)
                .ok_or_else(|| ApiError::bad_request(format!("Invalid {} specified", names.token)))?,
        };
        Ok(Paging { after, limit })
    }
}

/// Most items of one page of a list.
const LIMIT_MAX: usize = 500;

/// What a service calls the parameters of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct PagingNames {
    pub(super) limit: &'static str,
    pub(super) token: &'static str,
    pub(super) limit_default: usize,
    /// Member of the answer that holds the items.
    pub(super) items: &'static str,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paging {
    /// The last identifier of the page before.
    pub(super) after: String,
    pub(super) limit: usize,
}

/// The answer to a list.
pub(super) fn page_answer<T>(page: &Page<T>, names: &PagingNames, item: impl Fn(&T) -> Value) -> Value {
    let mut answer = Map::new();
    answer.insert(names.items.to_owned(), page.items.iter().map(item).collect());
    if let Some(last) = &page.last {
        answer.insert(names.token.to_owned(), id_token(last).into());
    }
    Value::Object(answer)
}

/// The page of things that are at hand, each under a name that says its place; `all` is in the order of the names.
pub(super) fn page_of<T>(all: impl Iterator<Item = (String, T)>, paging: &Paging) -> Page<T> {
    let mut rest = all.filter(|(name, _)| *name > paging.after);
    let (names, items): (Vec<String>, Vec<T>) = rest.by_ref().take(paging.limit).unzip();
    let last = names.into_iter().next_back().filter(|_| rest.next().is_some());
    Page { items, last }
}

/// Without the members that are `null`: AWS leaves out what isn't set.
pub(super) fn compact(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, member| !member.is_null());
    }
    value
}

/// All values of a query's parameter, decoded. What policies are asked of a call is read here, too, as the call reads it.
pub(super) fn query_values(query: &str, name: &str) -> Vec<String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(found, _)| decode(found) == name).map(|(_, value)| decode(value)).collect()
}

/// Opaque to callers, so that it can change.
pub(super) fn id_token(id: &str) -> String {
    id.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What such a token stands for.
pub(super) fn token_id(token: &str) -> Option<String> {
    String::from_utf8(hex::decode(token)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: PagingNames =
        PagingNames { limit: "maxResults", token: "nextToken", limit_default: 100, items: "items" };

    fn call(query: &str) -> Call {
        Call { query: query.to_owned(), ..Call::inner(&[], &Value::Null) }
    }

    #[test]
    fn tokens_read_back() {
        for id in ["a1b2c3", "$default", "é"] {
            assert_eq!(token_id(&id_token(id)).as_deref(), Some(id));
        }
        for token in ["1", "zz", "ff"] {
            assert_eq!(token_id(token), None);
        }
    }

    #[test]
    fn paging_is_checked() {
        assert_eq!(call("").paging(&NAMES), Ok(Paging { after: String::new(), limit: 100 }));
        let query = format!("maxResults=3&nextToken={}", id_token("x"));
        assert_eq!(call(&query).paging(&NAMES), Ok(Paging { after: "x".to_owned(), limit: 3 }));
        for query in ["maxResults=1&maxResults=1", "nextToken=61&nextToken=62"] {
            let error = call(query).paging(&NAMES).expect_err(query);
            assert!(error.status == 400 && error.message.contains("comes twice"), "{error}");
        }
        for query in ["maxResults=0", "maxResults=501", "maxResults=x", "maxResults=-1", "nextToken=zz"] {
            assert_eq!(call(query).paging(&NAMES).expect_err(query).status, 400);
        }
    }

    #[test]
    fn flags_are_true_or_false() {
        let flag = |query| call(query).query_flag("x");
        assert_eq!((flag(""), flag("x=false"), flag("x=true")), (Ok(false), Ok(false), Ok(true)));
        for query in ["x=1", "x=TRUE", "x=true&x=true"] {
            assert_eq!(flag(query).expect_err(query).status, 400);
        }
    }

    #[test]
    fn what_is_at_hand_comes_in_pages() {
        let all = || ["a", "b", "c"].map(|name| (name.to_owned(), name)).into_iter();
        let page = |after: &str, limit| {
            let page = page_of(all(), &Paging { after: after.to_owned(), limit });
            (page.items, page.last)
        };
        assert_eq!(page("", 2), (vec!["a", "b"], Some("b".to_owned())));
        assert_eq!(page("b", 2), (vec!["c"], None));
        assert_eq!(page("", 3), (vec!["a", "b", "c"], None));
        assert_eq!(page("c", 3), (vec![], None));
    }

    #[test]
    fn query_values_are_decoded() {
        let call = call("embed=methods&embed=a%20b&x");
        assert_eq!(call.query_values("embed"), ["methods", "a b"]);
        assert_eq!(call.query_value("x"), Ok(None));
    }
}
