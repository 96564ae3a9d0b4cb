//! Templates as they are written: text with `{{…}}` in it, which holds a variable's name or a function's call, and
//! after it filters: `{{id}}`, `{{integer(1, 100)}}`, `{{name | url}}`. Nothing is looked up here.

use std::fmt;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Expression(Expression),
}

/// What stands between `{{` and `}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub term: Term,
    pub filters: Vec<Filter>,
    /// Where it stands in the template, in bytes.
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    Variable(String),
    Call { function: String, arguments: Vec<String> },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Percent-encoded but for RFC 3986's unreserved characters.
    Url,
    /// Escaped for the inside of a JSON string.
    Json,
    Base64,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where, in bytes of the text.
    pub at: usize,
    pub reason: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Takes a text apart.
pub fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|offset| at + offset) {
        if open > at {
            parts.push(Part::Text(text[at..open].to_owned()));
        }
        let mut reader = Reader { text, at: open + 2 };
        parts.push(Part::Expression(reader.expression(open)?));
        at = reader.at;
    }
    if at < text.len() {
        parts.push(Part::Text(text[at..].to_owned()));
    }
    Ok(parts)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn expression(&mut self, open: usize) -> Result<Expression, TemplateError> {
        let name = self.name("a variable's name or a function's call")?;
        let term = if self.takes('(') {
            Term::Call { function: name, arguments: self.arguments()? }
        } else {
            Term::Variable(name)
        };
        let mut filters = Vec::new();
        while self.takes('|') {
            let at = self.at;
            filters.push(match self.name("a filter: url, json or base64")?.as_str() {
                "url" => Filter::Url,
                "json" => Filter::Json,
                "base64" => Filter::Base64,
                other => {
                    return Err(fail(at, format!("'{other}' is no filter: there are url, json and base64")));
                }
            });
        }
        self.skip_blanks();
        if !self.rest().starts_with("}}") {
            return Err(fail(self.at, "the template needs '}}', '|' or '(' here".to_owned()));
        }
        self.at += 2;
        Ok(Expression { term, filters, at: open })
    }

    fn name(&mut self, wanted: &str) -> Result<String, TemplateError> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(fail(self.at, format!("{wanted} is missing behind '{{{{'")));
        }
        let name = rest[..end].to_owned();
        self.at += end;
        Ok(name)
    }

    /// Up to and with the closing parenthesis; each is a bare word or text in quotes.
    fn arguments(&mut self) -> Result<Vec<String>, TemplateError> {
        let mut arguments = Vec::new();
        if self.takes(')') {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.argument()?);
            if self.takes(')') {
                return Ok(arguments);
            }
            if !self.takes(',') {
                return Err(fail(
                    self.at,
                    "',' or ')' is missing behind an argument; put text that holds them in quotes".to_owned(),
                ));
            }
        }
    }

    fn argument(&mut self) -> Result<String, TemplateError> {
        self.skip_blanks();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let Some(end) = rest[1..].find(quote) else {
                return Err(fail(self.at, format!("a text that begins with {quote} doesn't end")));
            };
            let quoted = rest[1..=end].to_owned();
            self.at += end + 2;
            return Ok(quoted);
        }
        let end = rest.find([',', ')', '}', '\'', '"']).unwrap_or(rest.len());
        let word = rest[..end].trim_end();
        if word.is_empty() {
            return Err(fail(self.at, "an argument is missing".to_owned()));
        }
        let word = word.to_owned();
        self.at += end;
        Ok(word)
    }

    fn takes(&mut self, c: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
}

fn fail(at: usize, reason: String) -> TemplateError {
    TemplateError { at, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str, filters: &[Filter], at: usize) -> Part {
        Part::Expression(Expression { term: Term::Variable(name.into()), filters: filters.into(), at })
    }

    fn call(function: &str, arguments: &[&str], at: usize) -> Part {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Part::Expression(Expression {
            term: Term::Call { function: function.into(), arguments },
            filters: Vec::new(),
            at,
        })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    #[test]
    fn templates_are_taken_apart() {
        let cases = [
            ("", vec![]),
            ("/a}}b{c", vec![text("/a}}b{c")]),
            ("/{{id}}/x", vec![text("/"), variable("id", &[], 1), text("/x")]),
            ("{{ a.b-c_d | url|json }}", vec![variable("a.b-c_d", &[Filter::Url, Filter::Json], 0)]),
            ("{{uuid()}}{{b}}", vec![call("uuid", &[], 0), variable("b", &[], 10)]),
            ("{{pick( a b , 'c, d)}}', \"it's\" )}}", vec![call("pick", &["a b", "c, d)}}", "it's"], 0)]),
            ("{{pick('')}}", vec![call("pick", &[""], 0)]),
        ];
        for (template, parts) in cases {
            assert_eq!(parse(template), Ok(parts), "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let cases = [
            ("a{{", 3, "missing behind"),
            ("{{}}", 2, "missing behind"),
            ("{{id}", 4, "needs '}}'"),
            ("{{id", 4, "needs '}}'"),
            ("{{a b}}", 4, "needs '}}'"),
            ("{{f(}}", 4, "argument is missing"),
            ("{{f(a,)}}", 6, "argument is missing"),
            ("{{f(a}}", 5, "',' or ')'"),
            ("{{f('a)}}", 4, "doesn't end"),
            ("{{a|upper}}", 4, "no filter"),
            ("{{a|}}", 4, "filter"),
        ];
        for (template, at, reason) in cases {
            let error = parse(template).unwrap_err();
            assert!(error.at == at && error.reason.contains(reason), "{template}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[{}()|,'\" a-c\u{e4}]{0,40}") {
            if let Err(error) = parse(&text) {
                prop_assert!(error.at <= text.len());
            }
        }

        #[test]
        fn text_without_braces_is_itself(text in "[^{]{1,40}") {
            prop_assert_eq!(parse(&text), Ok(vec![Part::Text(text)]));
        }
    }
}
