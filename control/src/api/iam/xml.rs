//! Answers of the Query protocol: XML. An object's members are elements, a list's items are elements `member`.

use serde_json::{Map, Value};

/// The one element of `answer`, with the request's id in it.
pub(in crate::api) fn encode(answer: &Value, namespace: &str, request_id: &str) -> String {
    let mut text = String::new();
    for (name, content) in answer.as_object().unwrap_or(&Map::new()) {
        text += &format!("<{name} xmlns=\"{namespace}\">");
        element_content(&mut text, content);
        text += &format!("<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}>");
    }
    text
}

/// `fault` says whose: `Sender` or `Receiver`.
pub(in crate::api) fn encode_error(
    namespace: &str,
    request_id: &str,
    (fault, code, message): (&str, &str, &str),
) -> String {
    let message = escape(message);
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

/// `null` is left out by whoever holds it.
fn element_content(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(value) => *text += &value.to_string(),
        Value::Number(value) => *text += &value.to_string(),
        Value::String(value) => *text += &escape(value),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item)),
        Value::Object(map) => {
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .for_each(|(name, value)| element(text, name, value));
        }
    }
}

fn element(text: &mut String, name: &str, value: &Value) {
    *text += &format!("<{name}>");
    element_content(text, value);
    *text += &format!("</{name}>");
}

/// What XML 1.0 can't have becomes U+FFFD; a carriage return stays one.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#xD;"),
            '\t' | '\n' => escaped.push(c),
            c if c.is_control() && c < ' ' => escaped.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_elements() {
        let answer = json!({"XResponse": {"XResult": {"A": "<&>\r\n\u{1}", "B": null, "C": [{"D": 1}, {"D": true}], "E": []}}});
        assert_eq!(
            encode(&answer, "urn:x", "id"),
            "<XResponse xmlns=\"urn:x\"><XResult><A>&lt;&amp;&gt;&#xD;\n\u{fffd}</A><C><member><D>1</D></member>\
             <member><D>true</D></member></C><E></E></XResult><ResponseMetadata><RequestId>id</RequestId>\
             </ResponseMetadata></XResponse>"
        );
        assert!(
            encode(&json!({"XResponse": {}}), "urn:x", "id").starts_with("<XResponse xmlns=\"urn:x\"><Resp")
        );
    }

    #[test]
    fn errors_have_code_and_message() {
        let text = encode_error("urn:x", "id", ("Sender", "NoSuchEntity", "a < b"));
        assert!(
            text.contains("<Code>NoSuchEntity</Code><Message>a &lt; b</Message></Error><RequestId>id<"),
            "{text}"
        );
    }
}
