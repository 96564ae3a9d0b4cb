//! Selection expressions: texts with variables such as `$request.body.action`, which yield a key once they are
//! evaluated (AWS: 'WebSocket selection expressions'). What is mapped from a request or an answer has the same grammar.

const EXPRESSION_BYTES_MAX: usize = 2_048;

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SelectionPiece {
    /// Without the backslash that escapes a `$`.
    Text(String),
    /// Without `$` and braces.
    Variable(String),
}

/// Takes an expression apart; the error says where it isn't one.
fn parse_selection(expression: &str) -> Result<Vec<SelectionPiece>, String> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("an expression can have at most {EXPRESSION_BYTES_MAX} bytes"));
    }
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = expression;
    while let Some(at) = rest.find(['$', '\\']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\\') {
            // Of what may follow, only '$' means something else without it.
            text.push_str(if after.starts_with('$') { "$" } else { "\\" });
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        let (name, after) = variable(&rest[1..])?;
        if !text.is_empty() {
            pieces.push(SelectionPiece::Text(std::mem::take(&mut text)));
        }
        pieces.push(SelectionPiece::Variable(name.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(SelectionPiece::Text(text));
    }
    Ok(pieces)
}

/// Checks an expression whose variables begin with one of these roots, such as `request.body`. `$default` as it is
/// stands for the key of that name.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_selection(expression: &str, roots: &[&str]) -> Result<(), String> {
    if expression == "$default" {
        return Ok(());
    }
    check_variables(expression, roots)
        .map_err(|why| format!("Invalid selection expression specified: '{expression}': {why}"))
}

/// As [`check_selection`], where there is no default.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check_variables(expression: &str, roots: &[&str]) -> Result<(), String> {
    for piece in parse_selection(expression)? {
        match piece {
            SelectionPiece::Variable(name) if !is_below(&name, roots) => {
                return Err(format!("${name} doesn't begin with one of {}", dollars(roots)));
            }
            SelectionPiece::Variable(_) | SelectionPiece::Text(_) => {}
        }
    }
    Ok(())
}

/// Whether the name is one of the roots or a part of one. A root that ends in a dot has to have something after it.
fn is_below(name: &str, roots: &[&str]) -> bool {
    roots.iter().any(|root| match name.strip_prefix(root) {
        Some(rest) if root.ends_with('.') => !rest.is_empty(),
        Some(rest) => rest.is_empty() || rest.starts_with(['.', '[']) && rest.len() > 1,
        None => false,
    })
}

fn dollars(roots: &[&str]) -> String {
    roots.iter().map(|root| format!("${root}")).collect::<Vec<_>>().join(", ")
}

/// What follows a `$`: the variable's name, and the rest.
fn variable(text: &str) -> Result<(&str, &str), String> {
    if let Some(inner) = text.strip_prefix('{') {
        let (name, after) = inner.split_once('}').ok_or("'${' has no closing '}'")?;
        return match name.is_empty() || name.contains(['$', '{', ' ']) {
            true => Err(format!("'{name}' can't name a variable")),
            false => Ok((name, after)),
        };
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-[]'*@:".contains(&b);
    let len = text.bytes().take_while(|b| is_name(*b)).count();
    match text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => Ok(text.split_at(len)),
        false => Err("'$' has to begin a variable: $request.body.x; write \\$ for itself".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_taken_apart() {
        let text = |text: &str| SelectionPiece::Text(text.to_owned());
        let variable = |name: &str| SelectionPiece::Variable(name.to_owned());
        for (expression, pieces) in [
            ("static", vec![text("static")]),
            ("", vec![]),
            ("$request.body.action", vec![variable("request.body.action")]),
            ("${request.body.a}-beta", vec![variable("request.body.a"), text("-beta")]),
            (
                "$request.method $request.path",
                vec![variable("request.method"), text(" "), variable("request.path")],
            ),
            ("\\$default", vec![text("$default")]),
            ("a\\b", vec![text("a\\b")]),
            ("/2\\d\\d/", vec![text("/2\\d\\d/")]),
        ] {
            assert_eq!(parse_selection(expression), Ok(pieces), "{expression}");
        }
        for expression in ["$", "$ x", "${a", "${}", "${a b}", "$1", &"x".repeat(2_049)] {
            assert!(parse_selection(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn variables_have_known_roots() {
        let roots = ["request.body", "context."];
        for expression in [
            "$request.body.action",
            "$request.body",
            "$request.body[0]",
            "x",
            "$context.a-$request.body.b",
            "$default",
        ] {
            assert_eq!(check_selection(expression, &roots), Ok(()), "{expression}");
        }
        for expression in ["$request.bodyx", "$request.header.x", "$context.", "$context", "$request.body."] {
            assert!(check_selection(expression, &roots).is_err(), "{expression}");
        }
    }
}
