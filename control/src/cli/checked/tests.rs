use clap::{CommandFactory as _, Parser as _};

use super::super::{Cli, Command};
use super::*;

fn parse(command: &str, args: &[&str]) -> Result<Command, String> {
    let all = ["turnpike-control", command].into_iter().chain(args.iter().copied());
    Ok(Cli::try_parse_from(all).map_err(|error| error.to_string())?.command)
}

fn serve(args: &[&str]) -> Result<(Settings, PublishSettings), String> {
    match parse("serve", args)? {
        Command::Serve(args) => args.settings(),
        other => panic!("{other:?}"),
    }
}

fn up(args: &[&str]) -> Result<GatewaySettings, String> {
    match parse("up", args)? {
        Command::Up(args) => args.settings().map(|(_, _, gateway)| gateway),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_are_what_the_help_says() {
    let (settings, publish) = serve(&[]).expect("defaults");
    assert_eq!(settings.listen, LISTEN);
    assert_eq!(settings.publish_socket, Path::new("turnpike-data/publish.sock"));
    assert_eq!((settings.clock_skew_s_max, settings.body_bytes_max), (900, 6_291_456));
    assert_eq!((&settings.quotas, &settings.usage), (&Quotas::default(), &UsageSettings::default()));
    let usage = &settings.usage;
    assert_eq!((usage.clock_skew_s_max, usage.leases_kept_days, usage.uses_kept_days), (300, 1, 121));
    assert_eq!(settings.store.sqlite, SqliteSettings::default());
    assert_eq!(settings.store.sqlite.log_bytes_max, 67_108_864);
    assert_eq!(settings.quotas.purged_tags_per_stage_max, 1_000);
    assert_eq!((settings.quotas.routes_per_api_max, settings.quotas.stages_per_api_max), (300, 10));
    assert_eq!(publish.gateways_max, 256);
    let gateway = up(&["--data-dir", "/d"]).expect("defaults");
    assert_eq!((gateway.listen, gateway.admin_listen), (GATEWAY_LISTEN, GATEWAY_ADMIN_LISTEN));
    assert_eq!(gateway.tls_listen, GATEWAY_TLS_LISTEN.parse().ok());
    assert_eq!(up(&["--gateway-tls-listen", ""]).expect("valid").tls_listen, None);
    assert!(up(&["--gateway-tls-listen", "x"]).is_err());
    assert_eq!(gateway.data_dir, Path::new("/d/gateway"));
    assert!(gateway.bin.ends_with("turnpike-gateway"), "{:?}", gateway.bin);
}

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("c.toml");
    let text =
        "region = 'eu-west-1'\nroutes_per_api_max = 9\n[gateway]\ncores = '2'\nlisten = '127.0.0.1:0'\n";
    std::fs::write(&file, text).expect("written");
    let config = file.to_str().expect("UTF-8");
    let (settings, _) = serve(&["--config", config, "--region", "eu-central-1"]).expect("valid");
    assert_eq!(settings.account.region, "eu-central-1");
    assert_eq!(settings.quotas.routes_per_api_max, 9);
    let gateway = up(&["--config", config, "--gateway-cores", "1"]).expect("valid");
    assert_eq!((gateway.cores.as_deref(), gateway.listen.port()), (Some("1"), 0));
}

#[test]
fn http_apis_have_a_ceiling_of_their_own() {
    let ceilings = |args: &[&str]| {
        let (settings, _) = serve(args).expect("valid");
        (settings.quotas.integration_timeout_ms_max, settings.quotas.http_integration_timeout_ms_max)
    };
    assert_eq!(ceilings(&[]), (29_000, 30_000));
    let one = ["--integration-timeout-ms-max", "60000"];
    assert_eq!(ceilings(&one), (60_000, 60_000));
    let other = ["--http-integration-timeout-ms-max", "5000"];
    assert_eq!(ceilings(&[one, other].concat()), (60_000, 5_000));
    let error = serve(&["--http-integration-timeout-ms-max", "49"]).expect_err("too short");
    assert!(error.contains("--http-integration-timeout-ms-max has to be 50"), "{error}");
}

#[test]
fn the_account_s_throttle_has_a_choice_of_its_own() {
    let partition = |args: &[&str]| {
        let (settings, _) = serve(args).expect("valid");
        settings.account.throttle.and_then(|throttle| throttle.partition)
    };
    assert_eq!(partition(&[]), None);
    assert_eq!(partition(&["--account-throttle-partition", "closed"]), Some(LimitsPartition::Closed));
}

#[test]
fn mistakes_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "lisen = '127.0.0.1:1'").expect("written");
    let table: [(&[&str], &str); 23] = [
        (&["--config", file.to_str().expect("UTF-8")], "lisen"),
        (&["--config", "/nonexistent/c.toml"], "/nonexistent/c.toml"),
        (&["--account-id", "12"], "--account-id"),
        (&["--region", "a b"], "--region"),
        (&["--routes-per-api-max", "0"], "--routes-per-api-max has to be at least 1"),
        (&["--integration-timeout-ms-max", "49"], "50 to"),
        (&["--endpoint-port", "0"], "--endpoint-port"),
        (&["--head-bytes-max", "8191"], "--head-bytes-max"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--store", "mysql://u@h/d"], "postgres://"),
        (&["--store-connections-max", "0"], "--store-connections-max"),
        (&["--store-log-bytes-max", "0"], "--store-log-bytes-max"),
        (&["--store-busy-timeout-ms", "86400001"], "--store-busy-timeout-ms has to be 1 to 86400000"),
        (&["--store-readers-max", "1025"], "--store-readers-max has to be 1 to 1024"),
        (&["--store-reader-timeout-ms", "0"], "--store-reader-timeout-ms has to be 1 to 86400000"),
        (&["--purged-tags-per-stage-max", "1001"], "--purged-tags-per-stage-max has to be 1 to 1000"),
        (&["--account-throttle-partition", "half"], "share, closed or open, not 'half'"),
        (&["--account-throttle-rate-per-s", "0", "--account-throttle-partition", "open"], "above 0"),
        (&["--usage-clock-skew-s-max", "43201"], "at most 43200"),
        (&["--usage-leases-kept-days", "0"], "--usage-leases-kept-days"),
        (&["--usage-kept-days", "30"], "at least 31"),
        (&["--acme-contact", "a@example.com"], "--acme-directory-url"),
        (&["--acme-directory-url", "http://ca.example.com/dir"], "https://"),
    ];
    for (args, expected) in table {
        let error = serve(args).expect_err(expected);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}
