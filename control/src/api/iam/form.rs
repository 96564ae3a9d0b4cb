//! The parameters of a Query call, taken one by one, so that what is left over can be named.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::validation;
use crate::api::access::RequestTags;
use crate::api::call::{id_token, token_id};
use crate::api::error::ApiError;
use crate::api::tag_rules::check_tags;
use crate::model::Tags;

/// AWS's own, for all lists of IAM.
const ITEMS_MAX: usize = 1_000;
const ITEMS_DEFAULT: usize = 100;

/// The parameters that haven't been taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Form(BTreeMap<String, String>);

impl Form {
    /// Of a form's body, and of the query where the call is a GET.
    ///
    /// # Errors
    /// When there are too many, a name comes twice, or something isn't UTF-8.
    pub(in crate::api) fn parse(query: &str, body: &[u8], parameters_max: usize) -> Result<Self, ApiError> {
        let malformed = |what: String| ApiError { status: 400, code: "MalformedQueryString", message: what };
        let body = std::str::from_utf8(body).map_err(|_| malformed("The body isn't UTF-8".to_owned()))?;
        let pairs = || query.split('&').chain(body.split('&')).filter(|pair| !pair.is_empty());
        if pairs().nth(parameters_max).is_some() {
            let what = format!("The request has more than {parameters_max} parameters (form_parameters_max)");
            return Err(malformed(what));
        }
        let mut fields = BTreeMap::new();
        for pair in pairs() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = (decode(name), decode(value));
            let (Some(name), Some(value)) = decoded else {
                return Err(malformed(format!("The parameter {name} isn't percent-encoded UTF-8")));
            };
            if fields.insert(name.clone(), value).is_some() {
                return Err(malformed(format!("The parameter {name} comes twice")));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| {
            let member = lower_first(name);
            validation(format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not \
                 be null"
            ))
        })
    }

    /// Takes `Tags.member.N.Key` and `.Value`.
    pub(super) fn tags(&mut self) -> Result<Tags, ApiError> {
        let mut tags = Tags::new();
        for at in 1.. {
            let Some(key) = self.text(&format!("Tags.member.{at}.Key")) else { break };
            let value = self.required(&format!("Tags.member.{at}.Value"))?;
            if tags.insert(key.clone(), value).is_some() {
                let message = format!(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive: {key}"
                );
                return Err(ApiError { status: 400, code: "InvalidInput", message });
            }
        }
        checked(&tags)?;
        Ok(tags)
    }

    /// Takes `NAME.member.N`.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        (1..).map_while(|at| self.text(&format!("{name}.member.{at}"))).collect()
    }

    /// The tags that the call gives, or takes away by their keys, left where they are.
    pub(super) fn peek_tags(&self) -> RequestTags {
        let field = |name: String| self.0.get(&name).cloned();
        let given = (1..).map_while(|at| {
            let key = field(format!("Tags.member.{at}.Key"))?;
            Some((key, field(format!("Tags.member.{at}.Value"))))
        });
        let removed = (1..).map_while(|at| Some((field(format!("TagKeys.member.{at}"))?, None)));
        given.chain(removed).collect()
    }

    /// Takes which part of a list is wanted: the key that it follows, and how many items.
    pub(super) fn paging(&mut self) -> Result<(Option<String>, usize), ApiError> {
        let limit = match self.text("MaxItems") {
            None => ITEMS_DEFAULT,
            Some(text) => {
                let number = text.parse().ok().filter(|limit| (1..=ITEMS_MAX).contains(limit));
                number.ok_or_else(|| validation(format!("MaxItems has to be 1 to {ITEMS_MAX}")))?
            }
        };
        let invalid = |marker: &String| validation(format!("Invalid Marker: '{marker}'"));
        let after = self.text("Marker").map(|marker| token_id(&marker).ok_or_else(|| invalid(&marker)));
        Ok((after.transpose()?, limit))
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// When parameters are left, which the action doesn't have or which aren't supported.
    pub(in crate::api) fn finish(self) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(validation(format!("The parameter {name} is not supported by this version of Turnpike")))
            }
        }
    }
}

/// Those of the items that are wanted, by their keys, and the marker where more follow.
pub(super) fn page<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    (after, limit): (Option<String>, usize),
) -> (Vec<T>, Option<String>) {
    items.sort_by_cached_key(&key);
    if let Some(after) = after {
        items.retain(|item| key(item) > after);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let marker = items.last().filter(|_| more).map(|last| id_token(&key(last)));
    (items, marker)
}

pub(super) fn checked(tags: &Tags) -> Result<(), ApiError> {
    check_tags(tags).map_err(|error| ApiError { code: "InvalidInput", ..error })
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str) -> Form {
        Form::parse("", body.as_bytes(), 100).expect(body)
    }

    #[test]
    fn parameters_are_decoded_and_come_once() {
        let mut form = Form::parse("Action=A", b"x=a+b%2Bc%C3%A9&y=&z", 4).expect("a form");
        assert_eq!(form.peek("Action"), Some("A"));
        assert_eq!(form.text("x").as_deref(), Some("a b+cé"));
        assert_eq!((form.text("y").as_deref(), form.text("z").as_deref()), (Some(""), Some("")));
        assert!(form.required("UserName").expect_err("none").message.contains("Value null at 'userName'"));
        assert!(form.clone().finish().expect_err("left").message.contains("Action"));
        for (query, body) in [("a=1", &b"a=2"[..]), ("", b"a=1&%61=2"), ("", b"a=%ff"), ("", b"\xff")] {
            assert_eq!(Form::parse(query, body, 100).expect_err("malformed").code, "MalformedQueryString");
        }
    }

    #[test]
    fn parameters_of_query_and_body_together_are_bounded() {
        let parse = |query: &str, body: &str| Form::parse(query, body.as_bytes(), 3);
        assert!(parse("a=1&&", "b=1&c=1").is_ok());
        for (query, body) in [("a=1", "b=1&c=1&d=1"), ("", "a&b&c&a"), ("a&b&c&%ff", "")] {
            let error = parse(query, body).expect_err(body);
            assert!(error.message.contains("more than 3 parameters (form_parameters_max)"), "{error}");
        }
    }

    #[test]
    fn lists_and_tags_are_numbered() {
        let mut tagged =
            form("Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=");
        assert_eq!(tagged.peek_tags().len(), 2);
        assert_eq!(
            tagged.tags().expect("tags").into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>(),
            ["a1", "b"]
        );
        assert_eq!(tagged.finish(), Ok(()));
        assert!(form("Tags.member.1.Key=a").tags().is_err());
        assert!(
            form("Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=a&Tags.member.2.Value=2")
                .tags()
                .is_err()
        );
        let mut keys = form("TagKeys.member.1=a&TagKeys.member.2=b&TagKeys.member.4=d");
        assert_eq!(keys.list("TagKeys"), ["a", "b"]);
        assert!(keys.finish().is_err());
    }

    #[test]
    fn pages_go_on_behind_their_marker() {
        let items = || vec!["c", "a", "b"];
        let key = |item: &&str| (*item).to_owned();
        let (first, marker) = page(items(), key, (None, 2));
        assert_eq!(first, ["a", "b"]);
        let mut next = form(&format!("Marker={}&MaxItems=2", marker.expect("more")));
        assert_eq!(page(items(), key, next.paging().expect("valid")), (vec!["c"], None));
        for bad in ["MaxItems=0", "MaxItems=1001", "MaxItems=x", "Marker=zz"] {
            assert_eq!(form(bad).paging().expect_err(bad).code, "ValidationError");
        }
    }
}
