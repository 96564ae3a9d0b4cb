//! What hyper answers by itself to a head that it can't read, in the words of the management API: AWS's clients look
//! for an error's name and message, and operators for a request id. The connection ends after it.

use super::reply::RequestId;

/// Every answer of the management API's own has it.
const OWN: &[u8] = b"x-amzn-requestid";

/// What is to be written in place of `answer`, if that is one of hyper's own.
pub(super) fn in_own_words(answer: &[u8]) -> Option<Vec<u8>> {
    let rest = answer.strip_prefix(b"HTTP/1.1 4").or_else(|| answer.strip_prefix(b"HTTP/1.0 4"))?;
    if !answer.ends_with(b"\r\n\r\n") || answer.windows(OWN.len()).any(|name| name.eq_ignore_ascii_case(OWN))
    {
        return None;
    }
    let (status, code, message) = match rest.get(..2)? {
        b"00" => ("400 Bad Request", "BadRequestException", "The request can't be read as HTTP/1.1"),
        b"14" => {
            ("414 URI Too Long", "RequestUriTooLongException", "The request's path and query are too long")
        }
        b"31" => (
            "431 Request Header Fields Too Large",
            "RequestHeaderFieldsTooLargeException",
            "The request's header fields are too many or too long",
        ),
        _ => return None,
    };
    let body = serde_json::json!({"message": message}).to_string();
    let id = RequestId::new();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-amzn-requestid: {id}\r\nx-amzn-errortype: {code}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Some((head + &body).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_own_refusals_are_put_otherwise() {
        let refusal =
            in_own_words(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").expect("hyper's own");
        let refusal = String::from_utf8(refusal).expect("UTF-8");
        assert!(refusal.contains("x-amzn-errortype: BadRequestException\r\n"), "{refusal}");
        assert!(refusal.ends_with(r#"{"message":"The request can't be read as HTTP/1.1"}"#), "{refusal}");
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\nx-amzn-requestid: 1\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 499 X\r\n\r\n",
            b"",
        ] {
            assert_eq!(in_own_words(other), None);
        }
    }
}
