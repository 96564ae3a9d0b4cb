//! Whole scenarios: what they make, and what is wrong with them.

use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::reply::Reply;
use crate::source::{Kept, Outcome, Script};

fn parse(text: &str) -> Result<Scenario, String> {
    parse_for("http://a.test:81/base", &[], text)
}

fn parse_for(url: &str, headers: &[String], text: &str) -> Result<Scenario, String> {
    let url = Url::parse(url).unwrap();
    let target = Target { headers, captured_body_bytes_max: 1_000, ..Target::new(&url) };
    Scenario::parse(text, Path::new("/nonexistent"), &target)
}

/// A user of the only reactor.
fn user(scenario: Scenario) -> User {
    let scenario = Box::leak(Box::new(scenario));
    User::new(scenario, Rc::new(Share::new(scenario, 0, 1)))
}

/// What the user sends next; the reply is `status` with `body`.
fn play(user: &mut User, status: u16, body: &str) -> (String, Result<(), String>) {
    user.pause();
    let request = user.next();
    let text = String::from_utf8([&request.head[..], &request.body[..]].concat()).unwrap();
    let reply = Reply { status, body_bytes: body.len() as u64, reusable: true };
    let kept = Kept { fields: vec![(b"ETag".to_vec(), b"\"e\"".to_vec())], body: body.into() };
    let taken = user.take(Outcome::Reply(&reply, Some(&kept))).map_err(|failure| failure.to_string());
    (text, taken)
}

fn sent(user: &mut User) -> String {
    play(user, 200, "").0
}

#[test]
fn a_request_without_variables_is_formatted_once() {
    let scenario = parse(
        "[headers]\naccept = 'a/b'\n[variables]\nhost = 'b.test'\n[[request]]\nurl = '/x?{{host}}'\n\
         headers = { host = '{{host}}', Accept = 'c/d' }\n",
    )
    .unwrap();
    assert_eq!(scenario.labels, ["GET /x?{{host}}"]);
    let Form::Fixed(request) = &scenario.steps[0].form else { panic!("{:?}", scenario.steps[0].form) };
    let head = b"GET /base/x?b.test HTTP/1.1\r\nAccept: c/d\r\nhost: b.test\r\n\r\n";
    assert_eq!(request.head, &head[..], "{}", String::from_utf8_lossy(&request.head));
    assert!(!scenario.steps[0].checks.keep().head);
}

#[test]
fn bodies_headers_and_urls_are_made_of_templates() {
    let text = "[variables]\nid = '{{sequence(7, 9)}}'\n[[request]]\nmethod = 'PUT'\nurl = '{{id}}/{{id}}?q={{q}}'\n\
         headers = { x-id = 'n{{id}}' }\nbody = '{\"id\": {{id}}, \"next\": {{sequence(1, 9)}}}'\n\
         [[flow]]\nweight = 0\n[[flow.step]]\nurl = '/'\n";
    let error = parse(text).unwrap_err();
    assert!(error.starts_with("5: url: there is no variable 'q'; there are id"), "{error}");
    let mut user = user(parse(&text.replace("{{q}}", "{{'}}").replace("{{'}}", "a")).unwrap());
    let head = "PUT /base/7/7?q=a HTTP/1.1\r\nhost: a.test:81\r\nx-id: n7\r\ncontent-length: 20\r\n\r\n";
    assert_eq!(sent(&mut user), format!("{head}{{\"id\": 7, \"next\": 1}}"));
    assert!(sent(&mut user).ends_with("{\"id\": 8, \"next\": 2}"));
}

#[test]
fn a_flow_hands_values_on_and_ends_where_one_is_missing() {
    let text = "[[flow]]\nname = 'buy'\n[[flow.step]]\nname = 'open'\nurl = '/carts'\n\
         expect = { status = [200, '300-399'], body_contains = 'id' }\n\
         extract = { cart = { json = '/id' }, tag = { header = 'etag' } }\n\
         [[flow.step]]\nname = 'pay'\nurl = '/carts/{{cart | url}}'\nheaders = { if-match = '{{tag}}' }\n";
    let scenario = parse(text).unwrap();
    assert_eq!(scenario.labels, ["buy: open", "buy: pay"]);
    let checks: Vec<&str> = scenario.check_names.iter().map(|name| name.check.as_str()).collect();
    assert_eq!(checks, ["status", "body contains", "extract cart", "extract tag"]);
    let mut user = user(scenario);
    assert_eq!(play(&mut user, 200, "{\"id\": \"a/b\"}").1, Ok(()));
    let pay = sent(&mut user);
    assert!(
        pay.starts_with("GET /base/carts/a%2Fb HTTP/1.1\r\n") && pay.contains("if-match: \"e\"\r\n"),
        "{pay}"
    );
    // Without its value, the second step isn't sent.
    let error = play(&mut user, 500, "{}").1.unwrap_err();
    assert_eq!(error, "status: wanted 200,300-399, came 500");
    assert!(sent(&mut user).starts_with("GET /base/carts HTTP"));
    // Nor after a lost connection.
    user.next();
    user.take(Outcome::Failed(&crate::failure::Failure::ClosedEarly)).unwrap();
    assert!(sent(&mut user).starts_with("GET /base/carts HTTP"));
}

#[test]
fn the_same_seed_gives_the_same_requests_however_many_reactors_there_are() {
    let text = "seed = 5\n[[request]]\nweight = 3\nurl = '/{{integer(1, 1000000)}}'\n[[request]]\nurl = '/{{uuid()}}'\n";
    let all = |reactors: usize, seed: u64| {
        let scenario: &Scenario = Box::leak(Box::new(Scenario { seed, ..parse(text).unwrap() }));
        let mut sent: Vec<String> = (0..reactors)
            .flat_map(|index| {
                let share = Rc::new(Share::new(scenario, index, reactors));
                let mut users: Vec<_> = (0..3).map(|_| User::new(scenario, Rc::clone(&share))).collect();
                (0..240 / reactors).map(|turn| self::sent(&mut users[turn % 3])).collect::<Vec<_>>()
            })
            .collect();
        sent.sort_unstable();
        sent
    };
    assert_eq!(parse(text).unwrap().seed, 5);
    assert_eq!(all(1, 5), all(4, 5));
    assert_ne!(all(1, 5), all(1, 6));
    let uuids = all(2, 5).iter().filter(|head| head.contains("-4")).count();
    assert!((40..80).contains(&uuids), "{uuids} of 240 at a weight of 1 in 4");
}

#[test]
fn weights_of_nothing_choose_nothing() {
    let text =
        "[[request]]\nurl = '/a'\nweight = 0\n[[request]]\nurl = '/b'\n[[request]]\nurl = '/c'\nweight = 0\n";
    let mut user = user(parse(text).unwrap());
    assert!((0..50).all(|_| sent(&mut user).starts_with("GET /base/b")));
}

#[test]
fn random_bodies_differ_and_have_their_length() {
    let mut user = user(parse("[[request]]\nurl = '/'\nbody_random_bytes = 11\n").unwrap());
    let bodies: Vec<_> = (0..2)
        .map(|_| {
            let head = user.next().head;
            user.take(Outcome::Unfinished).unwrap();
            assert!(head.starts_with(b"POST /base/ HTTP/1.1\r\n"));
            head[head.len() - 11..].to_vec()
        })
        .collect();
    assert_ne!(bodies[0], bodies[1]);
}

#[test]
fn absolute_urls_and_the_command_lines_headers_count() {
    let headers = ["X-Key: cli".to_owned()];
    let text = "[[request]]\nurl = 'http://A.test/x'\nheaders = { x-key = 'file', b = 'c' }\n";
    let scenario = parse_for("http://a.test/base", &headers, &text.replace("A.test", "a.test:80")).unwrap();
    let head = "GET /x HTTP/1.1\r\nhost: a.test:80\r\nb: c\r\nX-Key: cli\r\n\r\n";
    assert_eq!(sent(&mut user(scenario)), head);
}

#[test]
fn requests_name_the_hosts_that_they_go_to() {
    let text = "[[flow]]\n[[flow.step]]\nurl = 'https://B.test/x'\n[[flow.step]]\nurl = '/y{{integer(1, 1)}}'\n\
         [[flow.step]]\nurl = 'https://b.test:443?z'\n";
    let scenario = parse(text).unwrap();
    let hosts: Vec<_> = scenario.hosts.iter().map(|url| (url.host.as_str(), url.port, url.tls)).collect();
    assert_eq!(hosts, [("B.test", 443, true), ("a.test", 81, false)], "in the order of their first uses");
    let mut user = user(scenario);
    let heads: Vec<_> = (0..3)
        .map(|_| {
            let request = user.next();
            user.take(Outcome::Reply(&Reply { status: 200, body_bytes: 0, reusable: true }, None)).unwrap();
            let lines: Vec<_> =
                request.head.split(|byte| *byte == b'\r').take(2).map(<[u8]>::to_vec).collect();
            (request.host, String::from_utf8(lines.concat()).unwrap())
        })
        .collect();
    let head = |path: &str, host: &str| format!("GET {path} HTTP/1.1\nhost: {host}");
    let wanted = [(0, head("/x", "B.test")), (1, head("/base/y1", "a.test:81")), (0, head("/?z", "B.test"))];
    assert_eq!(heads, wanted);
    let limited = format!("[limits]\nhosts_max = 1\n{text}");
    assert!(parse(&limited).unwrap_err().starts_with("7: url: more than 1 hosts of a scenario"));
}

#[test]
fn signed_requests_carry_a_signature_of_what_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys"), "[ci]\naws_access_key_id=AKID\naws_secret_access_key=s\n")
        .unwrap();
    let text = "[signer.api]\nservice = 'execute-api'\nregion = 'eu-west-1'\ncredentials_file = 'keys'\nprofile = 'ci'\n\
         [[request]]\nurl = '/x'\nsign = 'api'\nbody = 'b'\n";
    let url = Url::parse("http://a.test/").unwrap();
    let target = Target::new(&url);
    let scenario = Scenario::parse(text, folder.path(), &target).unwrap();
    let head = sent(&mut user(scenario));
    assert!(head.contains("/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, "), "{head}");
    assert!(head.ends_with("\r\n\r\nb"));
}

#[test]
fn mistakes_are_told_with_line_and_key() {
    let request = |rest: &str| format!("[[request]]\nurl = '/'\n{rest}\n");
    let step = |rest: &str| format!("[[flow]]\n[[flow.step]]\nurl = '/'\n{rest}\n");
    let cases = [
        ("[[request]]\nurl = 3\n".to_owned(), "2: url: invalid type"),
        (request("expect = { status = [200], body_bytes = 'x' }"), "3: body_bytes: invalid type"),
        (request("weight = -1"), "3: weight: invalid value"),
        (request("url = '/'"), "3: url: duplicate key"),
        ("[[request]\nurl = '/'\n".to_owned(), "1: unclosed"),
        ("[[request]]\n".to_owned(), "missing field `url`"),
        (request("methode = 'GET'"), "3: unknown field `methode`"),
        (String::new(), "no [[request]]"),
        (request("weight = 0"), "no [[request]]"),
        (request("method = 'GE T'"), "3: method: 'GE T' is not a method"),
        (request("body = 'a{{integer(1)}}'"), "3: body: there is no function integer with 1 arguments"),
        (request("body = '\u{e4}{{a'"), "3: body: character 5: the template"),
        (request("body = 'a'\nbody_file = 'b'"), "one of body, body_file"),
        (request("body_file = 'none'"), "3: body_file: /nonexistent/none"),
        (request("body_random_bytes = 99999999999"), "3: body_random_bytes: more than 67108864 bytes"),
        (
            "[limits]\nsteps_max = 1\n[[request]]\nurl = '/'\n[[request]]\nurl = '/'\n".to_owned(),
            "5: request: more than 1 req",
        ),
        ("[limits]\nsteps = 1\n".to_owned(), "2: limits: there is no limit 'steps'"),
        ("[limits]\nlog_requests_max = 1\n".to_owned(), "2: limits: log_requests_max is no scenario's"),
        (
            format!("[limits]\ntemplate_bytes_max = 8\n{}", request("body = '123456789'")),
            "5: body: more than 8 bytes",
        ),
        (
            format!("[limits]\nnames_max = 1\n{}{}", request(""), request("name = 'b'")),
            "name: more than 1 names",
        ),
        (
            "[limits]\nvariables_max = 1\n[variables]\na = ''\nb = ''\n".to_owned(),
            "1: variables: more than 1 var",
        ),
        (request("chunked = true"), "chunked: there is no body"),
        (request("headers = { content-length = '3' }"), "3: headers.content-length: the header"),
        (request("headers = { a = \"b\\nc\" }"), "3: headers.a: a header's value"),
        (request("headers = { a = \"{{pick(a, 'b\\nc')}}\" }"), "3: headers.a: a header's value"),
        (request("think = '5'"), "3: think: '5' has no unit"),
        (request("sign = 'x'"), "3: sign: there is no [signer.x]"),
        (request("extract = { a = { json = '/' } }"), "3: extract: a request on its own"),
        (request("expect = { status = '2xx' }"), "3: expect.status: '2xx'"),
        (request("expect = { status = true }"), "3: status: a status code, a range"),
        (request("expect = { body_sha256 = 'ab' }"), "3: expect.body_sha256"),
        (request("expect = { header = { 'a b' = 'c' } }"), "3: expect: 'a b' is not a header name"),
        ("[[request]]\nurl = 'x'\n".to_owned(), "2: url: it must be a path"),
        ("[[request]]\nurl = '/a b'\n".to_owned(), "2: url: a URL holds no ' '"),
        ("[[request]]\nurl = 'http://{{uuid()}}/'\n".to_owned(), "2: url: the host can't vary"),
        ("[variables]\na = '{{b}}'\nb = 'x{{a}}'\n".to_owned(), "made of itself"),
        ("[variables]\n'a b' = 'c'\n".to_owned(), "'a b': a variable's name"),
        ("requests_per_connection = 0\n[[request]]\nurl = '/'".to_owned(), "1: requests_per_connection"),
        (
            "[signer.x]\nservice = 's'\nregion = 'r'\nprofile = 'p'\n[[request]]\nurl = '/'".to_owned(),
            "signer.x: profile",
        ),
        ("[[flow]]\nname = 'x'\n".to_owned(), "no [[flow.step]]"),
        (step("weight = 2"), "weight: the flow has the weight"),
        (step("extract = { a = { json = 'a' } }"), "4: extract.a: json: 'a' is no JSON pointer"),
        (step("extract = { a = { regex = '(' } }"), "4: extract.a: regex"),
        (step("extract = { a = { regex = 'a', group = 1 } }"), "no group 1"),
        (step("extract = { a = { header = 'a', group = 1 } }"), "group belongs to regex"),
        (step("extract = { a = { } }"), "one of json, header and regex"),
        (step("body = '{{a}}'\nextract = { a = { header = 'a' } }"), "4: body: no step before this one"),
        (
            format!("[variables]\nb = '{{{{a}}}}'\n{}", step("extract = { a = { header = 'a' } }")),
            "2: variables.b: 'a' is taken out of replies",
        ),
    ];
    for (text, reason) in cases {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(reason), "{text}\n  gives '{error}', not '{reason}'");
    }
}

proptest! {
    #[test]
    fn no_value_breaks_out_of_its_place(
        template in "(\\{\\{(v|uuid\\(\\)|pick\\(a, 'b \"#?ä'\\))( \\| (url|json|base64))?\\}\\}|[a-z/}]){0,8}",
    ) {
        let quoted = toml::Value::String(format!("/{template}")).to_string();
        let variables = "[variables]\nv = \"x y\\t{{string(3)}}\"\n";
        let request = format!("[[request]]\nurl = {quoted}\nbody = {quoted}\nheaders = {{ a = {quoted} }}\n");
        let head = sent(&mut user(parse(&format!("{variables}{request}")).unwrap()));
        let (head, _) = head.split_once("\r\n\r\n").unwrap();
        let lines: Vec<&str> = head.split("\r\n").collect();
        prop_assert_eq!(lines.len(), 4, "{}", head);
        prop_assert!(lines[0].split(' ').count() == 3 && lines[0].ends_with(" HTTP/1.1"), "{}", head);
        prop_assert!(lines[0].bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{}", head);
    }
}
