use super::*;
use crate::ids::Ids;

fn record() -> AccessRecord<'static> {
    AccessRecord {
        id: Ids::new([1, 2]).next(),
        is_rest: true,
        request_time_ms: 1_428_582_896_789,
        http_method: b"GET",
        path: b"/prod/pets/7",
        protocol: "HTTP/1.1",
        source_ip: IpAddr::from([192, 0, 2, 1]),
        user_agent: Some(b"curl/8"),
        client_certificate: None,
        api_key_id: Some("k1"),
        host: b"abc.execute-api.us-east-1.localhost:8080",
        account_id: "000000000000",
        api_id: Some("abc"),
        stage: Some("prod"),
        deployment_id: Some("dep"),
        canary: None,
        base_path_matched: None,
        routing_rule_matched: None,
        route_key: Some("GET /pets/{id}"),
        resource_path: None,
        resource_id: None,
        status: 200,
        response_length: 12,
        response_latency_ms: 5,
        integration_status: Some(201),
        integration_latency_ms: Some(4),
        integration_error: None,
        error_message: None,
        error_response_type: None,
    }
}

/// One that is its own issuer, and its PEM.
fn client_certificate() -> (ClientCertificate, String) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "client");
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x0a, 0xb1]));
    params.not_before = rcgen::date_time_ymd(2019, 5, 28);
    params.not_after = rcgen::date_time_ymd(2021, 8, 5);
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    (ClientCertificate::parse(certificate.der()).unwrap(), certificate.pem())
}

fn render(format: &str, record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    AccessLogFormat::compile(format).unwrap().render(record, &ClfTimes::default(), &mut out);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    line.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn each_variable_renders_its_value() {
    let mut record = record();
    record.integration_error = Some("refused");
    record.error_message = Some("Not Found");
    record.error_response_type = Some("DEFAULT_4XX");
    record.resource_path = Some("/pets/{id}");
    record.resource_id = Some("res");
    record.base_path_matched = Some("v1");
    record.routing_rule_matched = Some("rule1");
    record.canary = Some(false);
    let (certificate, pem) = client_certificate();
    record.client_certificate = Some(&certificate);
    let pem = pem.replace('\r', "").replace('\n', "\\u000a");
    let (uuid, short) = (record.id.uuid(), record.id.short());
    let (uuid, short) = (std::str::from_utf8(&uuid).unwrap(), std::str::from_utf8(&short).unwrap());
    let cases = [
        ("requestId", uuid),
        ("extendedRequestId", short),
        ("requestTime", "09/Apr/2015:12:34:56 +0000"),
        ("requestTimeEpoch", "1428582896789"),
        ("httpMethod", "GET"),
        ("path", "/prod/pets/7"),
        ("protocol", "HTTP/1.1"),
        ("identity.sourceIp", "192.0.2.1"),
        ("identity.userAgent", "curl/8"),
        ("identity.clientCert.clientCertPem", &pem),
        ("identity.clientCert.subjectDN", "CN=client"),
        ("identity.clientCert.issuerDN", "CN=client"),
        ("identity.clientCert.serialNumber", "0a:b1"),
        ("identity.clientCert.validity.notBefore", "May 28 00:00:00 2019 GMT"),
        ("identity.clientCert.validity.notAfter", "Aug  5 00:00:00 2021 GMT"),
        ("identity.apiKeyId", "k1"),
        ("domainName", "abc.execute-api.us-east-1.localhost"),
        ("domainPrefix", "abc"),
        ("accountId", "000000000000"),
        ("apiId", "abc"),
        ("stage", "prod"),
        ("deploymentId", "dep"),
        ("isCanaryRequest", "false"),
        ("customDomain.basePathMatched", "v1"),
        ("customDomain.routingRuleIdMatched", "rule1"),
        ("routeKey", "GET /pets/{id}"),
        ("resourcePath", "/pets/{id}"),
        ("resourceId", "res"),
        ("status", "200"),
        ("responseLength", "12"),
        ("responseLatency", "5"),
        ("integrationStatus", "201"),
        ("integration.status", "201"),
        ("integration.integrationStatus", "201"),
        ("integrationLatency", "4"),
        ("integration.latency", "4"),
        ("integrationErrorMessage", "refused"),
        ("integration.error", "refused"),
        ("error.message", "Not Found"),
        ("error.messageString", "\"Not Found\""),
        ("error.responseType", "DEFAULT_4XX"),
    ];
    assert!(cases.iter().map(|(name, _)| *name).eq(variable_names()), "a variable isn't tested");
    for (name, expected) in cases {
        assert_eq!(render(&format!("$context.{name}"), &record), expected, "{name}");
    }
}

#[test]
fn an_http_api_has_one_form_of_a_request_s_id() {
    let record = AccessRecord { is_rest: false, ..record() };
    let short = String::from_utf8(record.id.short().to_vec()).unwrap();
    let expected = format!("{short} {short}");
    assert_eq!(render("$context.requestId $context.extendedRequestId", &record), expected);
}

#[test]
fn numbers_are_written_as_they_are_everywhere() {
    for number in [0, 7, 10, 42, 99, 100, 200, 504, 999, 1_000, 65_535, 65_536, u64::MAX] {
        let record = AccessRecord { response_length: number, ..record() };
        assert_eq!(render("$context.responseLength", &record), number.to_string());
    }
}

#[test]
fn an_address_is_written_as_it_is_everywhere() {
    for address in ["0.0.0.0", "9.10.99.100", "255.255.255.255", "127.0.0.1", "::1", "2001:db8::ffff"] {
        let record = AccessRecord { source_ip: address.parse().unwrap(), ..record() };
        assert_eq!(render("$context.identity.sourceIp", &record), address);
    }
}

#[test]
fn what_is_absent_or_unknown_is_a_dash() {
    let mut record = record();
    record.user_agent = None;
    record.integration_latency_ms = None;
    record.error_message = Some("");
    let format = "$context.identity.userAgent $context.integrationLatency $context.identity.caller $context.nope \
                  $context.error.message $context.error.messageString $context.resourceId";
    assert_eq!(render(format, &record), "- - - - - \"-\" -");
}

#[test]
fn names_end_where_no_name_goes_on() {
    let record = record();
    assert_eq!(render("$context.status.", &record), "200.");
    assert_eq!(render("[$context.status-$context.stage]", &record), "[200-prod]");
    assert_eq!(render("$context.stage$context.status", &record), "prod200");
    assert_eq!(render("$context. $context $5 $$context.status", &record), "$context. $context $5 $200");
    assert_eq!(render("$context.stage..x ü", &record), "prod..x ü");
}

#[test]
fn the_default_format_is_json_whatever_peers_send() {
    let mut hostile = record();
    hostile.path = b"/a\",\"status\":\"999\"\\\r\n{\"x\":1}\xff\xc2\x9b\xe2\x80\xa8\x00\x7f";
    hostile.http_method = b"\"";
    hostile.error_message = Some("a \"quoted\" \\ message\n");
    for record in [&record(), &hostile] {
        let line = render(DEFAULT_FORMAT, record);
        let object: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(object["status"], "200");
        assert!(line.chars().all(|character| !character.is_control()), "{line:?}");
    }
    let object: serde_json::Value = serde_json::from_str(&render(DEFAULT_FORMAT, &hostile)).unwrap();
    assert_eq!(object["path"], "/a\",\"status\":\"999\"\\\r\n{\"x\":1}\u{fffd}\u{9b}\u{2028}\0\u{7f}");
    assert_eq!(object["error"], "a \"quoted\" \\ message\n");
}

#[test]
fn an_xml_format_is_escaped_as_xml() {
    let mut record = record();
    record.user_agent = Some(b"</ua><admin a='1'>&\"\n\x01");
    let line = render("<r><ua>$context.identity.userAgent</ua></r>", &record);
    assert_eq!(line, "<r><ua>&#60;/ua&#62;&#60;admin a=&#39;1&#39;&#62;&#38;&#34;&#10;\u{fffd}</ua></r>");
}

#[test]
fn no_byte_of_a_peer_ends_a_line() {
    for byte in 0..=255 {
        let sent = [b'a', byte, b'b'];
        let mut record = record();
        record.path = &sent;
        for format in ["$context.path", "<p>$context.path</p>"] {
            let line = render(format, &record);
            assert!(line.lines().count() == 1 && !line.contains(char::is_control), "{byte}: {line:?}");
            let value = line.trim_start_matches("<p>").trim_end_matches("</p>");
            let specials: &[u8] = if format.starts_with('<') { b"<>&\"'" } else { b"\"\\" };
            let is_plain = byte.is_ascii() && !byte.is_ascii_control() && !specials.contains(&byte);
            assert_eq!(value.as_bytes() == sent, is_plain, "{byte}: {line:?}");
        }
    }
}

#[test]
fn formats_that_are_no_line_are_refused() {
    assert_eq!(AccessLogFormat::compile(" \n"), Err(FormatError::Empty));
    assert_eq!(AccessLogFormat::compile("a\nb"), Err(FormatError::LineBreak { bytes: 1 }));
    let long = "x".repeat(ACCESS_LOG_FORMAT_BYTES_MAX + 1);
    assert_eq!(
        AccessLogFormat::compile(&long),
        Err(FormatError::TooLong { bytes: ACCESS_LOG_FORMAT_BYTES_MAX + 1 })
    );
    assert!(AccessLogFormat::compile(&long[1..]).is_ok());
    assert_eq!(render("$context.status\n", &record()), "200");
}
