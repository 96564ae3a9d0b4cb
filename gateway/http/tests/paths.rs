//! The normal form of paths: what is rewritten, what is left alone, what is refused.

use turnpike_http::path::{PathError, normalize};
use turnpike_http::{HeadLimits, Progress, RequestHead, RequestParts};

fn normal(raw: &str) -> Result<String, PathError> {
    let mut scratch = b"left over from another path".to_vec();
    normalize(raw.as_bytes(), &mut scratch).map(|path| String::from_utf8(path.to_vec()).expect("ASCII"))
}

#[test]
fn what_stays_is_borrowed() {
    for raw in [
        "/",
        "//",
        "/a",
        "/a/",
        "/a//b///",
        "/pets/7",
        "/.well-known/x",
        "/a.b",
        "/a..b",
        "/...",
        "/.../x",
        "/a./b",
        "/..a",
        "/.a/.b",
        "/a.;x",
        "/~u/-_.x",
        "/a;b=c,d",
        "/a:b@c!$&'()*+",
        "/{proxy+}",
        "/a\"<>^`|b",
        "/[x]",
    ] {
        let mut scratch = Vec::new();
        let path = normalize(raw.as_bytes(), &mut scratch).unwrap_or_else(|error| panic!("{raw}: {error}"));
        assert!(std::ptr::eq(path, raw.as_bytes()), "{raw}");
    }
    assert_eq!(normal("").as_deref(), Ok("/"));
}

/// One head after the other, as over a connection: none keeps what was true of the one before.
#[test]
fn a_plain_path_is_its_own_normal_form() {
    let mut head = RequestHead::new();
    for (target, is_plain) in [
        ("/", true),
        ("/a/b-c_d~e;f=g,h:i@j&k$l", true),
        ("/a/../b", false),
        ("/a/b/c/d/e/f/g/h?i=..&j=%2e%2e", true),
        ("/a/b/c/d/e/f/g/h/%2e%2e?i", false),
        ("/a/b/c/d/e/f/g/h/\\i", false),
        ("/?", true),
        ("/./?", false),
        ("http://h/a/b", false),
        ("http://h/../b", false),
        ("https://long-enough-to-be-ahead-of-the-path/..", false),
        ("http://h", false),
        ("/a", true),
        ("*", false),
    ] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let parsed = head.parse(request.as_bytes(), &HeadLimits::default());
        assert_eq!((parsed, head.path_is_plain), (Ok(Progress::Complete), is_plain), "{target}");
        let path = head.path.of(request.as_bytes());
        assert!(!is_plain || normalize(path, &mut Vec::new()) == Ok(path), "{target}");
        if target.starts_with(['/', '*']) {
            let (method, path, authority) = (&b"OPTIONS"[..], target.as_bytes(), Some(&b"a.test"[..]));
            let parts = RequestParts { method, path, authority, ends: true };
            let mut assembled = Vec::new();
            // What came before was the opposite.
            let before = if is_plain { "*" } else { "/a" };
            let before = format!("OPTIONS {before} HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(head.parse(before.as_bytes(), &HeadLimits::default()), Ok(Progress::Complete));
            let done = head.assemble(&mut assembled, &parts, std::iter::empty(), &HeadLimits::default());
            assert_eq!((done, head.path_is_plain), (Ok(()), is_plain), "{target}");
        }
    }
}

#[test]
fn escapes() {
    for (raw, expected) in [
        ("/p%65ts", "/pets"),
        ("/%70%65%74%73", "/pets"),
        ("/%7e%2D%5f%2e%41", "/~-_.A"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/%e2%82%ac", "/%E2%82%AC"),
        ("/a%20b%3fc%23d", "/a%20b%3Fc%23d"),
        ("/%252e%252E/x", "/%252e%252E/x"),
        ("/%25", "/%25"),
        ("/%2541", "/%2541"),
        ("/a%5cb", "/a%5Cb"),
        ("/a%0d%0ab", "/a%0D%0Ab"),
        ("/a%2e", "/a."),
        ("/%2ewell-known", "/.well-known"),
        ("/%2e%2e%2e", "/..."),
    ] {
        assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw}");
    }
    for raw in ["/%", "/%4", "/%zz", "/%4g", "/%g4", "/a%", "/%%41", "/%u0041", "/%-1", "/% 1"] {
        let error = if raw.contains(' ') { PathError::InvalidByte } else { PathError::InvalidEscape };
        assert_eq!(normal(raw), Err(error), "{raw}");
    }
    for raw in ["/%00", "/a%00.html", "/%41%00"] {
        assert_eq!(normal(raw), Err(PathError::Nul), "{raw}");
    }
}

/// In every spelling that some server would resolve.
#[test]
fn dot_segments_are_refused() {
    for raw in [
        "/.",
        "/..",
        "/./",
        "/../",
        "/a/.",
        "/a/..",
        "/a/./b",
        "/a/../b",
        "//..",
        "/..//",
        "/%2e",
        "/%2E%2e/",
        "/.%2e",
        "/%2e./x",
        "/a/%2e%2e/b",
        "/..;",
        "/..;x=y/b",
        "/a/.;/b",
        "/..%3bx",
        "/..%2fb",
        "/..%2Fb",
        "/a%2f..",
        "/a%2f../b",
        "/a%2f%2e%2e%2fb",
        "/..%5cb",
        "/a%5c..%5Cb",
        "/a%5c.",
        "/a/b/..",
        "/...//..",
    ] {
        assert_eq!(normal(raw), Err(PathError::DotSegment), "{raw}");
    }
}

#[test]
fn what_is_no_path() {
    for raw in ["*", "a", "a/b", "?", "http://a/", "%2Fa", ".", "\\a"] {
        assert_eq!(normal(raw), Err(PathError::NotAbsolute), "{raw}");
    }
    for raw in ["/a\\b", "/..\\b", "/\\", "/%41\\"] {
        assert_eq!(normal(raw), Err(PathError::Backslash), "{raw}");
    }
    for raw in ["/a?b", "/a#b", "/a b", "/a\tb", "/\0", "/\x7f", "/\u{e9}", "/a\r\nb"] {
        assert_eq!(normal(raw), Err(PathError::InvalidByte), "{raw}");
    }
    assert_eq!(PathError::DotSegment.status(), 400);
}
