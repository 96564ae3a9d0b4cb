//! Which fields pass, which are the gateway's own, in both directions (RFC 9110, 7.6; AWS's rules for REST and
//! HTTP APIs).

use turnpike_tests::{DataPlane, Echo, Origin, Reply, http_api, request, rest_api};

const HOP_BY_HOP: &str = "Connection: close-not, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
     Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic eDp5\r\n";

fn both(origin: &Origin) -> DataPlane {
    DataPlane::serving(&[
        http_api("a1").route("$default", &origin.url("/")),
        rest_api("r1", "s").route("ANY /x", &origin.url("/")),
    ])
}

fn get(api: &str, headers: &str) -> String {
    let path = if api == "r1" { "/s/x" } else { "/x" };
    request("GET", api, path).replace("\r\n\r\n", &format!("\r\n{headers}\r\n"))
}

#[test]
fn end_to_end_fields_pass_to_the_origin_in_order() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    for api in ["a1", "r1"] {
        let sent = "X-One: 1\r\nX-Many: a\r\nX-Many: b, c\r\nAccept: */*\r\nX-Empty:\r\nX-Space: \t v v \t\r\nX-Utf8: \u{e9}\r\n";
        let Echo { headers, .. } = client.exchange(get(api, sent)).echo();
        assert_eq!(headers.one("x-one"), Some("1"));
        assert_eq!(headers.all("x-many"), ["a", "b, c"]);
        assert_eq!(headers.one("accept"), Some("*/*"));
        assert_eq!(headers.one("x-empty"), Some(""));
        assert_eq!(headers.one("x-space"), Some("v v"));
        assert_eq!(headers.one("x-utf8"), Some("\u{e9}"));
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn hop_by_hop_fields_stop_at_the_gateway() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    for api in ["a1", "r1"] {
        let Echo { headers, .. } = client.exchange(get(api, HOP_BY_HOP)).echo();
        for name in ["x-private", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization"] {
            assert!(!headers.has(name), "{api}: {name} reached the origin: {headers:?}");
        }
        assert!(headers.all("connection").iter().all(|value| *value == "keep-alive"), "{headers:?}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn fields_that_frame_or_route_cannot_be_named_away() {
    let origin = Origin::echo();
    let plane = both(&origin);
    for name in ["Host", "Content-Length", "X-Forwarded-For", "Authorization"] {
        let reply = plane.exchange(get("r1", &format!("Connection: {name}\r\nContent-Length: 0\r\n")));
        if reply.status == 200 {
            let headers = reply.echo().headers;
            assert!(headers.has("host") && headers.has("x-forwarded-for"), "{name}: {headers:?}");
        } else {
            assert_eq!(reply.status, 400, "{name}");
        }
    }
    plane.assert_at_rest();
}

#[test]
fn the_host_is_the_upstreams() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    for api in ["a1", "r1"] {
        let Echo { headers, .. } = client.exchange(get(api, "")).echo();
        assert_eq!(headers.one("host"), Some(origin.address().to_string().as_str()));
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn rest_apis_send_x_forwarded() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    let port = plane.gateway.address.port().to_string();
    let first = client.exchange(get("r1", "")).echo().headers;
    assert_eq!(first.one("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(first.one("x-forwarded-port"), Some(port.as_str()));
    assert_eq!(first.one("x-forwarded-proto"), Some("http"));
    assert!(!first.has("forwarded"));
    let appended = client.exchange(get("r1", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"));
    let appended = appended.echo().headers;
    assert_eq!(appended.all("x-forwarded-for").join(", "), "192.0.2.1, 127.0.0.1");
    assert_eq!(appended.one("x-forwarded-proto"), Some("http"), "a client doesn't say how it came");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn http_apis_send_forwarded_and_via() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    let first = client.exchange(get("a1", "")).echo().headers;
    let forwarded = first.one("forwarded").expect("a Forwarded field");
    for part in ["for=127.0.0.1", "host=a1.execute-api.us-east-1.localhost", "proto=http"] {
        assert!(
            forwarded.split(';').any(|pair| pair.replace('"', "").starts_with(part)),
            "{part} in {forwarded}"
        );
    }
    assert!(first.one("via").expect("a Via field").starts_with("HTTP/1.1 "), "{first:?}");
    assert!(!first.has("x-forwarded-for"));
    let appended =
        client.exchange(get("a1", "Forwarded: for=192.0.2.1\r\nVia: 1.0 before\r\n")).echo().headers;
    assert!(appended.all("forwarded").join(", ").starts_with("for=192.0.2.1, "), "{appended:?}");
    assert!(appended.all("via").join(", ").starts_with("1.0 before, "), "{appended:?}");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn replies_carry_an_id_of_their_own() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    for (api, name) in [("r1", "x-amzn-requestid"), ("a1", "apigw-requestid")] {
        let mut ids: Vec<String> = (0..20)
            .map(|_| client.exchange(get(api, "")).headers.one(name).expect("an id").to_owned())
            .collect();
        assert!(ids.iter().all(|id| !id.is_empty() && id.is_ascii()));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20, "{api}: ids repeat");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn the_origins_fields_pass_to_the_client() {
    let origin = Origin::replying(
        "HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/x\r\nX-A: 1\r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 3\r\n\r\nabc",
    );
    let plane = both(&origin);
    let mut client = plane.connect();
    for api in ["a1", "r1"] {
        let reply: Reply = client.exchange(get(api, ""));
        assert_eq!((reply.status, reply.text()), (418, "abc"));
        assert_eq!(reply.headers.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(reply.headers.one("content-type"), Some("text/x"));
        assert_eq!(reply.headers.one("x-a"), Some("1"));
        assert_eq!(reply.headers.all("date").len(), 1);
        for name in ["x-hop", "keep-alive", "upgrade", "connection"] {
            assert!(!reply.headers.has(name), "{api}: {name}: {:?}", reply.headers);
        }
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn rest_apis_rename_what_aws_renames() {
    let origin = Origin::replying(
        "HTTP/1.1 401 Unauthorized\r\nServer: origin\r\nWWW-Authenticate: Basic\r\nx-amzn-RequestId: origin's\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let plane = both(&origin);
    let rest = plane.exchange(get("r1", "")).headers;
    assert_eq!(rest.one("x-amzn-remapped-server"), Some("origin"));
    assert_eq!(rest.one("x-amzn-remapped-www-authenticate"), Some("Basic"));
    assert_eq!(rest.one("x-amzn-remapped-x-amzn-requestid"), Some("origin's"));
    assert_ne!(rest.one("x-amzn-requestid"), Some("origin's"), "the gateway's own, once");
    assert!(!rest.has("server") && !rest.has("www-authenticate"));
    let http = plane.exchange(get("a1", "")).headers;
    assert_eq!((http.one("server"), http.one("www-authenticate")), (Some("origin"), Some("Basic")));
    plane.assert_at_rest();
}

#[test]
fn errors_are_json_with_a_length() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    for bytes in [request("GET", "r1", "/s/none"), request("GET", "none", "/")] {
        let reply = client.exchange(bytes);
        assert_eq!(reply.headers.one("content-type"), Some("application/json"));
        assert_eq!(reply.headers.one("content-length"), Some(reply.body.len().to_string().as_str()));
        assert!(reply.json()["message"].is_string());
    }
    let head = client.exchange(request("HEAD", "r1", "/s/none"));
    assert_eq!((head.status, head.body.len()), (403, 0));
    assert_eq!(client.exchange(get("a1", "")).status, 200, "the connection goes on");
    drop(client);
    plane.assert_at_rest();
}

/// The origin frames its own reply; a client must never see two framings, or the origin's hop's.
#[test]
fn a_body_refused_by_the_route_does_not_disturb_the_next_request() {
    let origin = Origin::echo();
    let plane = both(&origin);
    let mut client = plane.connect();
    let host = "Host: r1.execute-api.us-east-1.localhost";
    client.send(format!("POST /s/none HTTP/1.1\r\n{host}\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(client.reply().status, 403);
    match client.try_send(get("r1", "")) {
        Ok(()) => {
            if let Ok(reply) = client.try_reply(false) {
                assert_eq!(reply.status, 200);
            }
        }
        Err(error) => assert!(
            matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset),
            "{error}"
        ),
    }
    drop(client);
    plane.assert_at_rest();
}
