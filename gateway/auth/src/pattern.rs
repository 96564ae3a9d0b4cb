//! Texts with `*`, `?` and policy variables such as `${aws:username}`, and ARNs of them.
//!
//! A variable's value stands for itself: a `*` in it is no wildcard, a `:` in it ends no part of an ARN. A variable
//! that the request doesn't have makes a pattern that matches nothing, unless it names a default.

use crate::context::Context;
use crate::document::PolicyError;

/// Parts of an ARN: arn, partition, service, region, account, resource.
const ARN_PARTS: usize = 6;

/// What of a pattern's text has a meaning of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syntax {
    pub(crate) wildcards: bool,
    /// Since version 2012-10-17.
    pub(crate) variables: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    One,
    Variable { key: String, default: Option<String> },
}

/// A pattern with its variables filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    Any,
    One,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, PolicyError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(inner) = rest.strip_prefix("${").filter(|_| syntax.variables) {
                let (variable, after) = inner
                    .split_once('}')
                    .ok_or_else(|| PolicyError::new(format!("'{text}' has a '${{' without its '}}'")))?;
                tokens.push(parse_variable(variable, text)?);
                rest = after;
                continue;
            }
            tokens.push(match first {
                '*' if syntax.wildcards => Token::Any,
                '?' if syntax.wildcards => Token::One,
                other => Token::Char(other),
            });
            rest = &rest[first.len_utf8()..];
        }
        Ok(Self(tokens))
    }

    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let pieces = self.fill(context);
        pieces.is_some_and(|pieces| fits(&pieces, &text.chars().collect::<Vec<_>>()))
    }

    /// As [`Self::matches`], where upper and lower case are the same.
    pub(crate) fn matches_in_any_case(&self, text: &str, context: &Context) -> bool {
        let Some(pieces) = self.fill(context) else { return false };
        let folded = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Char(c) => c.to_lowercase().map(Piece::Char).collect(),
            other => vec![other],
        });
        fits(&folded.collect::<Vec<_>>(), &text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>())
    }

    /// `None` when the request lacks a variable.
    fn fill(&self, context: &Context) -> Option<Vec<Piece>> {
        let mut pieces = Vec::with_capacity(self.0.len());
        for token in &self.0 {
            match token {
                Token::Char(c) => pieces.push(Piece::Char(*c)),
                Token::Any => pieces.push(Piece::Any),
                Token::One => pieces.push(Piece::One),
                Token::Variable { key, default } => {
                    let value = context.single(key).or(default.as_deref())?;
                    pieces.extend(value.chars().map(Piece::Char));
                }
            }
        }
        Some(pieces)
    }

    fn is_any(&self) -> bool {
        matches!(self.0[..], [Token::Any])
    }
}

/// `key`, `key, 'default'`, or one of `*`, `?`, `$`, which stand for themselves.
fn parse_variable(variable: &str, text: &str) -> Result<Token, PolicyError> {
    if let "*" | "?" | "$" = variable {
        return Ok(Token::Char(variable.chars().next().unwrap_or_default()));
    }
    let (key, default) = match variable.split_once(',') {
        None => (variable, None),
        Some((key, default)) => {
            let default = default.trim();
            let inner = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let inner = inner.ok_or_else(|| {
                PolicyError::new(format!(
                    "The default of a variable in '{text}' has to stand in single quotes"
                ))
            })?;
            (key, Some(inner.to_owned()))
        }
    };
    let key = key.trim();
    if !key.contains(':') || key.contains(char::is_whitespace) {
        return Err(PolicyError::new(format!("'${{{variable}}}' in '{text}' isn't a policy variable")));
    }
    Ok(Token::Variable { key: key.to_ascii_lowercase(), default })
}

/// Goes back to the last `*` only, so that the time is at most the product of both lengths.
fn fits(pattern: &[Piece], text: &[char]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(Piece::Any) => {
                retry = Some((at_pattern + 1, at_text));
                at_pattern += 1;
                continue;
            }
            Some(Piece::One) => {}
            Some(Piece::Char(c)) if *c == text[at_text] => {}
            _ => match retry {
                Some((after_any, taken)) => {
                    retry = Some((after_any, taken + 1));
                    (at_pattern, at_text) = (after_any, taken + 1);
                    continue;
                }
                None => return false,
            },
        }
        at_pattern += 1;
        at_text += 1;
    }
    pattern[at_pattern..].iter().all(|piece| *piece == Piece::Any)
}

/// An ARN whose six parts are matched each on its own, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern(Option<[Pattern; ARN_PARTS]>);

impl ArnPattern {
    /// `None` when it is neither.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Option<Self>, PolicyError> {
        let whole = Pattern::parse(text, syntax)?;
        if whole.is_any() {
            return Ok(Some(Self(None)));
        }
        let mut parts: Vec<Pattern> = vec![Pattern(Vec::new())];
        for token in whole.0 {
            match token {
                Token::Char(':') if parts.len() < ARN_PARTS => parts.push(Pattern(Vec::new())),
                token => {
                    if let Some(last) = parts.last_mut() {
                        last.0.push(token);
                    }
                }
            }
        }
        let is_arn = text.starts_with("arn:");
        Ok(parts.try_into().ok().filter(|_| is_arn).map(|parts| Self(Some(parts))))
    }

    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let Some(patterns) = &self.0 else { return true };
        let parts: Vec<&str> = text.splitn(ARN_PARTS, ':').collect();
        parts.len() == ARN_PARTS
            && patterns.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true };

    fn context() -> Context {
        let mut context = Context::new();
        context.add("aws:username", "a*:b");
        context.add("aws:TagKeys", "x");
        context.add("aws:TagKeys", "y");
        context
    }

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, ALL).expect(pattern).matches(text, &context())
    }

    #[test]
    fn wildcards_stand_for_any_text_and_one_character() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a:/b", true),
            ("?", "", false),
            ("?", "é", true),
            ("a?c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a*b*c", "a-c-b-c", true),
            ("**", "x", true),
            ("*a", "aaab", false),
            ("a", "A", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// As the language's words say it, whatever it costs.
    fn fits_by_the_word(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                fits_by_the_word(&pattern[1..], text)
                    || (!text.is_empty() && fits_by_the_word(pattern, &text[1..]))
            }
            (Some(one), Some(c)) if *one == '?' || one == c => fits_by_the_word(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn patterns_match_what_their_words_say(pattern in "[ab*?:]{0,8}", text in "[ab:]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = fits_by_the_word(&chars(&pattern), &chars(&text));
            proptest::prop_assert_eq!(matches(&pattern, &text), expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}|[${}:,' *?a]{0,20}") {
            let _ = ArnPattern::parse(&text, ALL);
            if let Ok(pattern) = Pattern::parse(&text, ALL) {
                let _ = pattern.matches_in_any_case(&text, &context());
            }
        }
    }

    #[test]
    fn stars_cost_no_more_than_the_product_of_the_lengths() {
        let pattern = "*a".repeat(2_000);
        assert!(!matches(&pattern, &"a".repeat(1_999)));
        assert!(matches(&pattern, &"a".repeat(2_000)));
    }

    #[test]
    fn variables_stand_for_their_value_alone() {
        let table = [
            ("${aws:username}", "a*:b", true),
            ("${AWS:UserName}", "a*:b", true),
            ("${aws:username}", "axx:b", false),
            ("x/${aws:username}/*", "x/a*:b/y", true),
            ("${aws:nothing}", "", false),
            ("*${aws:nothing}", "anything", false),
            ("${aws:nothing, 'team'}", "team", true),
            // Several values are none.
            ("${aws:TagKeys}", "x", false),
            ("${*}${?}${$}", "*?$", true),
            ("${*}", "x", false),
            ("$x}", "$x}", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        let literal = Pattern::parse("${aws:username}*", Syntax { wildcards: false, variables: false });
        assert!(literal.expect("literal").matches("${aws:username}*", &context()));
        for bad in ["${aws:username", "${username}", "${}", "${aws:username, team}"] {
            assert!(Pattern::parse(bad, ALL).is_err(), "{bad}");
        }
    }

    #[test]
    fn arns_match_part_by_part() {
        let arn = |text: &str| ArnPattern::parse(text, ALL).expect(text);
        let table = [
            ("*", "arn:aws:apigateway:eu-west-1::/restapis", true),
            ("arn:aws:apigateway:*::/restapis/*", "arn:aws:apigateway:eu-west-1::/restapis/a/stages", true),
            // A wildcard doesn't reach across a colon, but for the last part.
            ("arn:aws:*:/restapis", "arn:aws:apigateway:eu-west-1::/restapis", false),
            ("arn:aws:acm:*:*:certificate/*", "arn:aws:acm:eu-west-1:1:certificate/a:b", true),
            ("arn:*:*:*:*:*", "arn:aws:iam::1:user/a", true),
            ("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/a*:b", true),
        ];
        for (pattern, text, expected) in table {
            let parsed = arn(pattern);
            assert_eq!(parsed.is_some_and(|p| p.matches(text, &context())), expected, "{pattern} {text}");
        }
        for bad in ["arn:aws:apigateway:*", "a*", "arn", "", "*:*:*:*:*:*"] {
            assert_eq!(arn(bad), None, "{bad}");
        }
        assert!(!arn("arn:aws:iam::1:user/*").expect("an ARN").matches("user/x", &context()));
    }
}
