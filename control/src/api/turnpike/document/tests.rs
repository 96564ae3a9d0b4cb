//! Documents as they are written, and every mistake by name.

use super::*;

fn read_text(text: &str) -> Result<Targets, ApiError> {
    read(Members::parse(text.as_bytes())?)
}

#[test]
fn only_the_targets_are_needed() {
    let read = read_text(r#"{"targets":[{"host":"10.0.0.1","port":8080}]}"#).expect("valid");
    assert_eq!(
        read.targets,
        [Target { endpoint: Endpoint::Host { host: "10.0.0.1".to_owned(), port: 8080 }, weight: 1 }]
    );
    assert_eq!((read.balancing, read.health_check), (Balancing::RoundRobin, None));
    assert_eq!(read.outlier_ejection, Some(OutlierEjection::default()));
    assert_eq!((read.panic_threshold_percent, read.retry), (50, Retry::default()));
    assert_eq!((read.protocol_version, read.tls), (ProtocolVersion::Http1, TargetsTls::default()));
    assert_eq!(read_text(r#"{"targets":[]}"#).map(|read| read.targets), Ok(Vec::new()));
}

/// What is written reads back, whatever is said.
#[test]
fn documents_read_back() {
    for document in [
        r#"{"targets":[{"host":"h","port":1,"weight":9},{"srv":"_http._tcp.x"},{"unix":"/run/s"}]}"#,
        r#"{"targets":[],"balancing":{"algorithm":"least_request"},"slowStartMs":30000,
            "healthCheck":{"protocol":"HTTP","path":"/up","host":"h","port":81,"intervalMs":500,"timeoutMs":100,
                           "healthyThreshold":1,"unhealthyThreshold":9,"matcher":"204"},
            "outlierEjection":null,"panicThresholdPercent":0}"#,
        r#"{"targets":[],"balancing":{"algorithm":"hash_header","header":"X-User"},
            "healthCheck":{"protocol":"TCP"},
            "outlierEjection":{"consecutiveFailures":1,"ejectionMs":600000,"ejectedPercentMax":100},
            "retry":{"triesMax":10,"tryTimeoutMs":100,"budgetPercent":0,"retriesMin":0,"statuses":[502,504]},
            "circuitBreaker":{"connectionsMax":1,"pendingRequestsMax":2,"requestsMax":3}}"#,
        r#"{"targets":[],"healthCheck":{"protocol":"HTTP","port":81},"protocolVersion":"HTTP2"}"#,
        r#"{"targets":[],"balancing":{"algorithm":"hash_source_address"},"protocolVersion":"GRPC",
            "healthCheck":null,"tls":{"serverName":"A.b","insecureSkipVerification":true,
                                      "clientCertificate":"c1"}}"#,
    ] {
        let first = read_text(document).unwrap_or_else(|error| panic!("{document}: {error}"));
        let again = read_text(&write(&first).to_string());
        assert_eq!(again, Ok(first), "{document}");
    }
}

#[test]
fn mistakes_are_named() {
    let about = |member: &str| format!(r#"{{"targets":[],{member}}}"#);
    let target = |member: &str| format!(r#"{{"targets":[{{"host":"h","port":1}},{{{member}}}]}}"#);
    let table = [
        ("{}".to_owned(), "targets is required"),
        (r#"{"targets":{}}"#.to_owned(), "targets has to be a list of objects"),
        (r#"{"targets":["h:80"]}"#.to_owned(), "targets[0] has to be an object"),
        (target(r#""host":"h2""#), "targets[1] has to have either host and port"),
        (target(r#""srv":"x","unix":"/y""#), "targets[1] has to have either"),
        (target(r#""host":"h2","port":0"#), "targets[1].port has to be an integer from 1 to 65535"),
        (target(r#""host":"h 2","port":1"#), "targets[1]: \"h 2\" isn't a DNS name or an address"),
        (target(r#""host":"h","port":1,"weight":2"#), "targets[1]: the same endpoint as target 0"),
        (
            target(r#""host":"h2","port":1,"weight":1001"#),
            "targets[1].weight has to be an integer from 1 to 1000",
        ),
        (target(r#""unix":"run/s""#), "targets[1]: \"run/s\" isn't an absolute path"),
        (target(r#""srv":"a..b""#), "targets[1]: \"a..b\" isn't a DNS name"),
        (target(r#""host":"h2","port":1,"wieght":1"#), "'targets[1].wieght'"),
        (about(r#""blancing":{}"#), "'blancing'"),
        (about(r#""balancing":{}"#), "balancing.algorithm is required"),
        (about(r#""balancing":{"algorithm":"random"}"#), "balancing.algorithm has to be one of round_robin"),
        (about(r#""balancing":{"algorithm":"hash_header"}"#), "balancing.header is required"),
        (about(r#""balancing":{"algorithm":"round_robin","header":"x"}"#), "for hash_header only"),
        (about(r#""balancing":{"algorithm":"hash_header","header":"a b"}"#), "isn't a lower-case field name"),
        (about(r#""slowStartMs":900001"#), "slowStartMs has to be an integer from 0 to 900000"),
        (about(r#""healthCheck":{}"#), "healthCheck.protocol is required"),
        (about(r#""healthCheck":{"protocol":"TCP","path":"/"}"#), "for HTTP only"),
        (about(r#""healthCheck":{"protocol":"HTTP","path":"up"}"#), "health check path: \"up\" isn't"),
        (
            about(r#""healthCheck":{"protocol":"HTTP","matcher":"2xx"}"#),
            "healthCheck.matcher has to be a status",
        ),
        (about(r#""healthCheck":{"protocol":"HTTP","matcher":"300-200"}"#), "healthCheck.matcher"),
        (
            about(r#""healthCheck":{"protocol":"TCP","intervalMs":0}"#),
            "healthCheck.intervalMs has to be an integer from 1",
        ),
        (
            about(r#""healthCheck":{"protocol":"HTTP"},"protocolVersion":"HTTP2""#),
            "has to be TCP, or port another",
        ),
        (
            about(r#""outlierEjection":{"ejectionMs":10,"ejectionMsMax":9}"#),
            "outlierEjection.ejectionMsMax can't",
        ),
        (about(r#""outlierEjection":false"#), "outlierEjection has to be an object"),
        (about(r#""panicThresholdPercent":101"#), "panicThresholdPercent has to be an integer from 0 to 100"),
        (about(r#""retry":{"triesMax":11}"#), "retry.triesMax has to be an integer from 1 to 10"),
        (
            about(r#""retry":{"statuses":[500]}"#),
            "retry.statuses has to be a list of integers from 502 to 504",
        ),
        (about(r#""circuitBreaker":{"requestsMax":-1}"#), "circuitBreaker.requestsMax has to be an integer"),
        (about(r#""protocolVersion":"HTTP3""#), "protocolVersion has to be one of HTTP1, HTTP2, GRPC"),
        (about(r#""tls":{"ca":"x"}"#), "'tls.ca'"),
        (about(r#""tls":{"caPem":"x"}"#), "tls.caPem holds no PEM section BEGIN CERTIFICATE"),
        (about(r#""tls":{"serverName":"a b"}"#), "tls.serverName has to be a DNS name"),
    ];
    for (document, expected) in table {
        let error = read_text(&document).expect_err(&document);
        assert!(error.status == 400 && error.message.contains(expected), "{document}: {error}");
    }
}
