use super::*;

fn members(json: &str) -> Members {
    Members::parse(json.as_bytes()).expect("an object")
}

#[test]
fn bodies_that_are_no_object_are_refused() {
    for body in ["[", "[]", "1", "\"x\"", "{\"a\":1,}", "{\"a\":1,\"a\":1}", "{\"a\":\"\u{7f}", "null"] {
        let error = Members::parse(body.as_bytes()).expect_err(body);
        assert_eq!((error.status, error.code), (400, "SerializationException"), "{body}");
    }
    assert!(Members::parse(b"\xff").is_err());
    assert!(Members::parse(b"").expect("no members").finish().is_ok());
}

#[test]
fn types_and_bounds_are_checked() {
    type Take = fn(&mut Members) -> Option<ApiError>;
    let table: [(&str, Take, &str); 9] = [
        (r#"{"a":1}"#, |m| m.string("a", 9).err(), "a has to be a string"),
        (r#"{"a":"xxxx"}"#, |m| m.string("a", 3).err(), "at most 3"),
        (r#"{"a":""}"#, |m| m.required("a", 3).err(), "a is required"),
        (r#"{}"#, |m| m.required("a", 3).err(), "a is required"),
        (r#"{"a":"true"}"#, |m| m.boolean("a").err(), "true or false"),
        (r#"{"a":49}"#, |m| m.integer("a", 50..=60).err(), "from 50 to 60"),
        (r#"{"a":50.5}"#, |m| m.integer("a", 50..=60).err(), "from 50 to 60"),
        (r#"{"a":"50"}"#, |m| m.integer("a", 50..=60).err(), "an integer"),
        (r#"{"a":{"b":1}}"#, |m| m.strings("a").err(), "values are strings"),
    ];
    for (json, take, expected) in table {
        let error = take(&mut members(json)).expect(json);
        assert!(error.message.contains(expected), "{json}: {error}");
    }
}

#[test]
fn what_says_nothing_is_absent() {
    let mut all = members(r#"{"a":null,"b":false,"c":"","d":[],"e":{},"f":null}"#);
    assert_eq!(all.unsupported(&["a", "b", "c", "d", "e"]), Ok(()));
    assert_eq!(all.string("f", 1), Ok(None));
    assert_eq!(all.finish(), Ok(()));
    for json in [r#"{"a":true}"#, r#"{"a":0}"#, r#"{"a":"x"}"#, r#"{"a":["x"]}"#, r#"{"a":{"x":1}}"#] {
        let error = members(json).unsupported(&["a"]).expect_err(json);
        assert!(error.message.starts_with("a is not supported"), "{error}");
    }
}

#[test]
fn errors_say_where_a_member_stands() {
    let body = r#"{"a":[{"b":1},{"b":"x","c":{"d":[502,500]}}],"e":null,"f":{"g":true}}"#;
    let mut all = members(body);
    let mut items = all.objects("a").expect("a list").expect("given");
    assert!(items[0].string("b", 9).expect_err("a number").message.starts_with("a[0].b has to be"));
    let mut inner = items[1].object("c").expect("an object").expect("given");
    let error = inner.integers("d", 502..=504).expect_err("out of range");
    assert!(error.message.starts_with("a[1].c.d has to be a list of integers from 502"), "{error}");
    assert_eq!(all.object_or_null("e").map(|e| e.map(|e| e.is_none())), Ok(Some(true)));
    assert_eq!(all.object_or_null("e").map(|e| e.is_none()), Ok(true));
    let f = all.object("f").expect("an object").expect("given");
    assert!(f.finish().expect_err("a leftover").message.contains("'f.g'"));
}

#[test]
fn slots_are_set_cleared_and_left() {
    let mut slot = Some("old".to_owned());
    let mut all = members(r#"{"a":"new","b":"","c":"X","d":"Y","e":null}"#);
    assert_eq!((all.set_text("none", 9, &mut slot), slot.as_deref()), (Ok(()), Some("old")));
    assert_eq!((all.set_text("e", 9, &mut slot), slot.as_deref()), (Ok(()), Some("old")));
    assert_eq!((all.set_text("a", 9, &mut slot), slot.as_deref()), (Ok(()), Some("new")));
    assert_eq!((all.set_text("b", 9, &mut slot), slot.as_deref()), (Ok(()), None));
    assert_eq!((all.set_choice("c", &["X"], &mut slot), slot.as_deref()), (Ok(()), Some("X")));
    assert!(all.set_choice("d", &["X"], &mut slot).is_err());
    assert_eq!((members(r#"{"f":""}"#).set_choice("f", &["X"], &mut slot), slot), (Ok(()), None));
}

#[test]
fn maps_are_taken_with_their_bounds() {
    let mut all = members(r#"{"a":{"k":"xxxx"},"b":{"200":{"x":"1"},"404":{}},"c":-1,"d":-2,"e":{"k":1}}"#);
    assert!(all.texts("a", 3).expect_err("too long").message.starts_with("a.k can have at most 3"));
    let by_name = all.objects_by_name("b").expect("objects").expect("given");
    let texts = by_name.into_iter().map(|(name, inner)| (name, inner.into_texts(3).expect("texts")));
    let texts: Vec<(String, usize)> = texts.map(|(name, texts)| (name, texts.len())).collect();
    assert_eq!(texts, [("200".to_owned(), 1), ("404".to_owned(), 0)]);
    assert_eq!(all.signed("c", -1..=5), Ok(Some(-1)));
    assert!(all.signed("d", -1..=5).expect_err("too low").message.contains("from -1 to 5"));
    let error = all.objects_by_name("e").expect_err("no objects");
    assert!(error.message.starts_with("e.k has to be an object"), "{error}");
}

#[test]
fn leftovers_are_named() {
    let error = members(r#"{"nmae":"x"}"#).finish().expect_err("a typo");
    assert!(error.message.contains("'nmae'"), "{error}");
}
