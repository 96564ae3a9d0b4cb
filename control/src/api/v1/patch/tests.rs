use std::collections::BTreeMap;

use serde_json::json;

use super::*;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Thing {
    name: String,
    note: Option<String>,
    on: bool,
    variables: BTreeMap<String, String>,
    kinds: Vec<String>,
}

const RULES: &[Rule<Thing>] = &[
    rule("/name", REPLACE, |thing, patch| {
        thing.name = patch.required_text(9)?;
        Ok(())
    }),
    rule("/note", ADD_REPLACE_REMOVE, |thing, patch| {
        thing.note = patch.optional_text(9)?;
        Ok(())
    }),
    rule("/on", REPLACE, |thing, patch| {
        thing.on = patch.boolean()?;
        Ok(())
    }),
    rule("/variables/{name}", REPLACE_REMOVE, |thing, patch| {
        match patch.op {
            Op::Remove => thing.variables.remove(patch.name()),
            _ => thing.variables.insert(patch.name().to_owned(), patch.value()?.to_owned()),
        };
        Ok(())
    }),
    rule("/kinds/{kind}", ADD_REMOVE, |thing, patch| {
        thing.kinds.retain(|kind| kind != patch.name());
        if patch.op == Op::Add {
            thing.kinds.push(patch.name().to_owned());
        }
        Ok(())
    }),
];
const LISTED: Table<Thing> = Table { input: "updateThingInput", wording: Wording::Listed, rules: RULES };
const BARE: Table<Thing> = Table { input: "updateThingInput", wording: Wording::Bare, rules: RULES };

fn shown(thing: &Thing) -> Value {
    json!({"name": thing.name, "note": thing.note, "on": thing.on, "variables": thing.variables, "kinds": thing.kinds})
}

/// What the operations make of `thing`.
fn patched(table: &Table<Thing>, thing: &Thing, operations: Value) -> Result<Thing, ApiError> {
    let body = json!({"patchOperations": operations}).to_string();
    let mut thing = thing.clone();
    apply(table, &mut thing, Members::parse(body.as_bytes())?, shown)?;
    Ok(thing)
}

#[test]
fn operations_are_applied_in_order() {
    let before = Thing { name: "a".to_owned(), note: Some("n".to_owned()), ..Thing::default() };
    let after = patched(
        &LISTED,
        &before,
        json!([
            {"op": "replace", "path": "/name", "value": "b"},
            {"op": "remove", "path": "/note"},
            {"op": "replace", "path": "/on", "value": "True"},
            {"op": "replace", "path": "/variables/a~1b~01", "value": ""},
            {"op": "add", "path": "/kinds/image~1png"},
            {"op": "add", "path": "/kinds/-"},
            {"op": "replace", "path": "/name", "value": "c"},
        ]),
    );
    let expected = Thing {
        name: "c".to_owned(),
        note: None,
        on: true,
        variables: BTreeMap::from([("a/b~1".to_owned(), String::new())]),
        kinds: vec!["image/png".to_owned(), "-".to_owned()],
    };
    assert_eq!(after, Ok(expected.clone()));
    assert_eq!(patched(&BARE, &expected, json!([])), Ok(expected.clone()));
}

#[test]
fn a_test_guards_what_follows_and_a_move_takes_along() {
    let mut before = Thing { name: "a".to_owned(), ..Thing::default() };
    before.variables.insert("x/y".to_owned(), "1".to_owned());
    before.kinds.push("image/png".to_owned());
    let after = patched(
        &LISTED,
        &before,
        json!([
            {"op": "test", "path": "/name", "value": "a"},
            {"op": "test", "path": "/on", "value": "false"},
            {"op": "test", "path": "/kinds/image~1png", "value": "image/png"},
            {"op": "test", "path": "/variables/none"},
            {"op": "move", "from": "/variables/x~1y", "path": "/variables/z"},
            {"op": "test", "path": "/variables/z", "value": "1"},
        ]),
    );
    assert_eq!(after.map(|thing| thing.variables), Ok(BTreeMap::from([("z".to_owned(), "1".to_owned())])));
    for (operation, status, expected) in [
        (json!({"op": "test", "path": "/name", "value": "b"}), 409, "'/name' failed: it holds 'a'"),
        (json!({"op": "test", "path": "/note", "value": ""}), 409, "'/note' failed: it holds 'null'"),
        (json!({"op": "test", "path": "/none", "value": "b"}), 400, "Invalid patch path  '/none'"),
        (json!({"op": "move", "path": "/name"}), 400, "needs a from"),
        (json!({"op": "move", "path": "/name", "from": "/variables/n"}), 400, "Nothing is at '/variables/n'"),
        (json!({"op": "move", "path": "/note", "from": "/name"}), 400, "'/name' specified for op 'remove'"),
    ] {
        let error = patched(&LISTED, &before, json!([operation])).expect_err(expected);
        assert!(error.status == status && error.message.contains(expected), "{operation}: {error}");
    }
}

#[test]
fn what_is_not_in_the_table_is_refused_in_the_words_of_aws() {
    let both = |operation: &Value| {
        [&LISTED, &BARE].map(|table| {
            let error = patched(table, &Thing::default(), json!([operation])).expect_err("not in the table");
            assert_eq!((error.status, error.code), (400, "BadRequestException"), "{operation}: {error}");
            error.message
        })
    };
    let one_of = "Must be one of: [/name, /note, /on, /variables/{name}]";
    let table = [
        (
            json!({"op": "replace", "path": "/invalid", "value": "x"}),
            format!("Invalid patch path  '/invalid' specified for op 'replace'. {one_of}"),
            "Invalid patch path /invalid",
        ),
        (
            json!({"op": "copy", "path": "/name", "from": "/note"}),
            "Invalid patch path  '/name' specified for op 'copy'. Please choose supported operations"
                .to_owned(),
            "Invalid patch operation specified. Must be one of: [replace]",
        ),
        (
            json!({"op": "replace", "path": "/variables/a/b", "value": "x"}),
            format!("Invalid patch path  '/variables/a/b' specified for op 'replace'. {one_of}"),
            "Invalid patch path /variables/a/b",
        ),
        (
            json!({"op": "replace", "path": "/variables/", "value": "x"}),
            format!("Invalid patch path  '/variables/' specified for op 'replace'. {one_of}"),
            "Invalid patch path /variables/",
        ),
    ];
    for (operation, listed, bare) in table {
        assert_eq!(both(&operation), [listed, bare.to_owned()]);
    }
}

#[test]
fn there_can_be_as_many_as_a_usage_plan_needs() {
    let add = |n: usize| json!({"op": "add", "path": format!("/kinds/{n}")});
    let added = |count: usize| patched(&LISTED, &Thing::default(), (0..count).map(add).collect());
    assert_eq!(added(1_000).map(|thing| thing.kinds.len()), Ok(1_000));
    let error = added(1_001).expect_err("too many");
    assert!(error.status == 400 && error.message.contains("at most 1000 patchOperations"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let set = "Member must satisfy enum value set: [add, remove, move, test, replace, copy]";
    let table = [
        (json!([{"op": "replace", "path": "/name"}]), "'/name' needs a value".to_owned()),
        (json!([{"op": "replace", "path": "/name", "value": ""}]), "/name can't be empty".to_owned()),
        (json!([{"op": "replace", "path": "/name", "value": "0123456789"}]), "at most 9".to_owned()),
        (json!([{"op": "replace", "path": "/on", "value": "yes"}]), "true or false, not 'yes'".to_owned()),
        (json!([{"op": "replace", "path": "name", "value": ""}]), "Invalid patch path name".to_owned()),
        (json!([{"op": "replace", "path": "/a~2", "value": ""}]), "Invalid patch path /a~2".to_owned()),
        (json!([{"op": "replace", "path": "/a~", "value": ""}]), "Invalid patch path /a~".to_owned()),
        (json!([{"op": "replace", "value": ""}]), "Invalid patch path null".to_owned()),
        (json!([{"path": "/name", "value": ""}]), "patchOperations[0].op is required".to_owned()),
        (json!({"op": "test"}), "a list of objects".to_owned()),
        (
            json!([{"op": "put", "path": "/x"}, {"op": "add", "path": "/x"}, {"op": "PUT", "path": "/x"}]),
            format!(
                "2 validation errors detected: Value 'put' at 'updateThingInput.patchOperations.1.member.op' failed to \
                 satisfy constraint: {set}; Value 'PUT' at 'updateThingInput.patchOperations.3.member.op' failed to satisfy \
                 constraint: {set}"
            ),
        ),
    ];
    for (operations, expected) in table {
        let error = patched(&LISTED, &Thing::default(), operations.clone()).expect_err(&expected);
        assert!(error.status == 400 && error.message.contains(&expected), "{operations}: {error}");
    }
    let one =
        patched(&LISTED, &Thing::default(), json!([{"op": "put", "path": "/x"}])).expect_err("no such op");
    assert_eq!(one.code, "ValidationException");
    assert!(one.message.starts_with("1 validation error detected: Value 'put'"), "{one}");
}
