use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;

use super::*;

const ALLOWED: &[usize] = &[0, 1, 2, 3];

/// Settings that are no settings of `Settings`.
const NOT_SETTINGS: &[&str] = &["config", "help", "version"];

fn parse(args: &[&str]) -> Result<Settings, SettingsError> {
    let args = std::iter::once("turnpike-gateway").chain(args.iter().copied());
    Ok(Settings::parse(args.map(OsString::from), || Ok(ALLOWED.to_vec()))?.1)
}

fn refusal(args: &[&str]) -> String {
    match parse(args) {
        Ok(_) => panic!("{args:?} was taken"),
        Err(error) => error.to_string(),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn parse_file(text: &str) -> Result<Settings, SettingsError> {
    let file = file(text);
    parse(&["--config", file.path().to_str().unwrap()])
}

/// The settings as clap knows them, with their help on one line.
fn described() -> Vec<(String, String)> {
    Cli::command()
        .get_arguments()
        .filter(|arg| !NOT_SETTINGS.contains(&arg.get_id().as_str()))
        .map(|arg| (arg.get_id().to_string(), arg.get_help().expect("every setting has help").to_string()))
        .collect()
}

#[test]
fn the_defaults_let_control_and_gateway_meet() {
    let settings = parse(&[]).unwrap();
    assert_eq!(settings.listen, ["127.0.0.1:8080".parse::<SocketAddr>().unwrap()]);
    assert_eq!(settings.data_dir, Path::new("turnpike-data/gateway"));
    assert_eq!(settings.publish_socket, Path::new("turnpike-data/publish.sock"));
    assert_eq!(settings.cores, ALLOWED);
    assert_eq!(settings.body_bytes_max, 10_485_760);
}

#[test]
fn the_defaults_take_whatever_control_may_publish() {
    let (settings, control) = (parse(&[]).unwrap(), turnpike_snapshot::Limits::default());
    assert_eq!(settings.snapshot_unit_bytes_max as usize, control.unit_bytes_max);
    assert_eq!(settings.snapshot_units_max, control.units_max);
    assert_eq!(settings.snapshot_bytes_max, control.snapshot_bytes_max);
}

#[test]
fn the_help_states_the_defaults_that_apply() {
    let mut stated = 0;
    for (setting, help) in described() {
        let Some((_, default)) = help.split_once("[default: ") else { continue };
        let default = default.strip_suffix(']').expect("the default ends the help");
        let flag = format!("--{}={default}", setting.replace('_', "-"));
        assert_eq!(parse(&[&flag]).unwrap(), parse(&[]).unwrap(), "{flag} isn't the default");
        stated += 1;
    }
    let without_default = [
        "tls_certificate",
        "tls_private_key",
        "proxy_protocol",
        "proxy_protocol_from",
        "trusted_proxies",
        "dns_servers",
        "limits_store",
        "limits_store_password_file",
        "limits_store_ca_certificate",
        "limits_store_certificate",
        "limits_store_private_key",
        "access_log",
        "access_log_format",
    ];
    assert_eq!(stated + without_default.len(), described().len(), "a setting's help lacks its default");
}

#[test]
fn every_setting_has_its_environment_variable_and_a_heading() {
    for arg in Cli::command().get_arguments() {
        let name = arg.get_id().as_str();
        if name == "help" || name == "version" {
            continue;
        }
        let variable = format!("TURNPIKE_GATEWAY_{}", name.to_uppercase());
        assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()));
        assert!(name == "config" || arg.get_help_heading().is_some(), "{name} has no heading");
    }
}

#[test]
fn a_flag_wins_over_the_file() {
    let file = file("header_bytes_max = 1111\nidle_timeout_ms = 2222\n");
    let config = file.path().to_str().unwrap();
    let settings = parse(&["--config", config, "--header-bytes-max", "3333"]).unwrap();
    assert_eq!(settings.header_bytes_max, 3_333);
    assert_eq!(settings.idle_timeout_ms, 2_222);
    assert_eq!(settings.write_timeout_ms, 30_000);
}

/// The environment of this process is shared by all tests, so the probe below reads it in a child of its own.
#[test]
fn the_environment_wins_over_the_file_and_loses_to_a_flag() {
    let file = file("header_bytes_max = 1111\nidle_timeout_ms = 2222\n");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["settings::tests::environment_probe", "--exact", "--nocapture"])
        .env(PROBE, file.path())
        .env("TURNPIKE_GATEWAY_HEADER_BYTES_MAX", "4444")
        .env("TURNPIKE_GATEWAY_WRITE_TIMEOUT_MS", "5555")
        .env("TURNPIKE_GATEWAY_LISTEN", "127.0.0.1:1,127.0.0.1:2")
        .env("TURNPIKE_GATEWAY_REQUIRE_IO_URING", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("probe: 4444 2222 6666 2 true"), "{said}");
}

#[test]
fn variables_that_are_no_settings_are_found() {
    let names = [
        "PATH",
        "TURNPIKE_GATEWAY_IDLE_TIMEOUT_MS",
        "TURNPIKE_GATEWAY_IDLE_TIMEOUT",
        "TURNPIKE_GATEWAY_CONFIG",
        "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD",
        "TURNPIKE_GATEWAY_SUCCEEDS",
        "TURNPIKE_CONTROL_LISTEN",
    ];
    assert_eq!(strangers(names.iter().map(OsString::from)), ["TURNPIKE_GATEWAY_IDLE_TIMEOUT"]);
}

const PROBE: &str = "SETTINGS_TEST_PROBE";

#[test]
fn environment_probe() {
    let Some(config) = std::env::var_os(PROBE) else { return };
    let args = ["--config", config.to_str().unwrap(), "--write-timeout-ms", "6666"];
    let settings = parse(&args).unwrap();
    println!(
        "probe: {} {} {} {} {}",
        settings.header_bytes_max,
        settings.idle_timeout_ms,
        settings.write_timeout_ms,
        settings.listen.len(),
        settings.require_io_uring
    );
}

#[test]
fn a_file_takes_every_shape_of_value() {
    let settings = parse_file(
        "listen = ['127.0.0.1:0', '[::1]:0']\ncores = '0,2-3'\nbody_bytes_max = 'unlimited'\n\
         exit_with_parent = true\naccess_log = '-'\ndata_dir = '/srv/gate'\n",
    )
    .unwrap();
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.cores, [0, 2, 3]);
    assert_eq!(settings.body_bytes_max, u64::MAX);
    assert!(settings.exit_with_parent);
    assert_eq!(settings.access_log, Some(LogDestination::Stdout));
    assert_eq!(settings.publish_socket, Path::new("/srv/publish.sock"));
    assert_eq!(settings.access_log_dir, Path::new("/srv/gate/access-logs"));
    assert_eq!(settings.quota_dir, Path::new("/srv/gate/quotas"));
    assert_eq!(parse_file("cores = 2\nbody_bytes_max = 0").unwrap().cores, [0, 1]);
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_key_and_file() {
    let file = file("idle_timeout_ms = 1\nheader_byte_max = 5\n");
    let path = file.path().to_str().unwrap();
    let error = refusal(&["--config", path]);
    assert!(
        error.contains("`header_byte_max`") && error.contains(path) && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_file_with_a_wrong_value_is_refused_with_its_line() {
    for text in
        ["cores = -1", "cores = 'x'", "body_bytes_max = -5", "listen = '127.0.0.1:1'", "access_log = ''"]
    {
        let error = parse_file(text).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{text}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_refused_with_its_name() {
    let error = refusal(&["--config", "/nonexistent/gateway.toml"]);
    assert!(error.contains("/nonexistent/gateway.toml") && error.contains("--config"), "{error}");
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let error = refusal(&["--idle-timeout-ms", "0"]);
    assert_eq!(error, "idle_timeout_ms: 0 is outside 1 to 86400000; the default is 60000");
    for args in [
        ["--header-count-max", "1001"],
        ["--integration-timeout-ms-max", "49"],
        ["--listen-backlog", "65536"],
        ["--start-line-bytes-max", "63"],
        ["--connections-max", "-1"],
        ["--body-bytes-max", "none"],
        ["--cores", "5"],
        ["--listen", "localhost"],
    ] {
        refusal(&args);
    }
}

#[test]
fn contradictions_are_refused_with_both_settings() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--upstream-connections-max=10", "--upstream-idle-connections-max=11"],
            &["upstream_idle_connections_max", "upstream_connections_max"],
        ),
        (&["--dns-ttl-max-ms", "500"], &["dns_ttl_min_ms", "dns_ttl_max_ms"]),
        (&["--require-io-uring", "--driver=epoll"], &["require_io_uring", "driver"]),
        (
            &["--snapshot-bytes-max=2048", "--snapshot-unit-bytes-max=4096"],
            &["snapshot_unit_bytes_max", "snapshot_bytes_max"],
        ),
        (&["--access-log-format", "$context.requestId"], &["access_log_format", "access_log"]),
        (&["--access-log=-", "--access-log-format="], &["access_log_format", "empty"]),
        (&["--listen", "127.0.0.1:9901"], &["admin_listen", "127.0.0.1:9901"]),
        (&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"], &["listen", "twice"]),
        (&["--listen", "127.0.0.1:8443"], &["tls_listen", "127.0.0.1:8443", "twice"]),
        (&["--tls-listen", "127.0.0.1:9901"], &["admin_listen", "127.0.0.1:9901"]),
        (&["--tls-certificate", "c.pem"], &["tls_private_key", "tls_certificate"]),
        (&["--tls-private-key", "k.pem"], &["tls_certificate", "tls_private_key"]),
        (&["--data-dir", "."], &["publish_socket", "data_dir"]),
        (
            &["--proxy-protocol=127.0.0.1:1", "--proxy-protocol-from=::1"],
            &["proxy_protocol", "127.0.0.1:1", "listen"],
        ),
        (&["--proxy-protocol=127.0.0.1:8080"], &["proxy_protocol", "proxy_protocol_from"]),
        (&["--proxy-protocol-from=10.0.0.0/8"], &["proxy_protocol_from", "proxy_protocol"]),
    ];
    for (args, mentioned) in cases {
        let error = refusal(args);
        assert!(mentioned.iter().all(|word| error.contains(word)), "{args:?}: {error}");
    }
}

#[test]
fn an_empty_path_is_refused() {
    for setting in ["data_dir", "publish_socket", "access_log_dir", "quota_dir"] {
        let error = parse_file(&format!("{setting} = ''")).unwrap_err().to_string();
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn defaults_follow_a_lowered_limit() {
    let settings = parse(&["--upstream-connections-max=10", "--snapshot-bytes-max=2048"]).unwrap();
    assert_eq!((settings.upstream_idle_connections_max, settings.snapshot_unit_bytes_max), (10, 2_048));
}

#[test]
fn the_help_lists_the_variables_of_a_format() {
    let command = Cli::command();
    let format = command.get_arguments().find(|arg| arg.get_id() == "access_log_format").unwrap();
    let help = format.get_long_help().unwrap().to_string();
    let (_, listed) = help.split_once("$context.`: ").unwrap();
    let (listed, _) = listed.split_once(". Others").unwrap();
    let listed: Vec<&str> = listed.split(", ").collect();
    assert_eq!(listed, crate::access_log_format::variable_names().collect::<Vec<_>>());
}

#[test]
fn a_socket_path_that_the_kernel_would_cut_is_refused() {
    let path = format!("/tmp/{}", "x".repeat(103));
    let error = refusal(&["--publish-socket", &path]);
    assert!(error.contains("108 bytes") && error.contains("107"), "{error}");
    parse(&["--publish-socket", &path[..107]]).unwrap();
}

#[test]
fn https_is_turned_off_by_an_empty_list() {
    for arguments in [&["--tls-listen", ""][..], &["--tls-listen="]] {
        assert!(parse(arguments).unwrap().tls_listen.is_empty());
    }
    let two = parse(&["--tls-listen", "127.0.0.1:1,[::1]:1"]).unwrap().tls_listen;
    assert_eq!(two.len(), 2);
    let file = file("tls_listen = []\n");
    assert!(parse(&["--config", file.path().to_str().unwrap()]).unwrap().tls_listen.is_empty());
}

#[test]
fn port_zero_may_be_listened_on_twice() {
    let settings = parse(&["--listen", "127.0.0.1:0,127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).unwrap();
    assert_eq!(settings.listen.len(), 2);
}

#[test]
fn a_switch_needs_no_value() {
    assert!(parse(&["--require-io-uring=1"]).unwrap().require_io_uring);
    assert!(parse(&["--require-io-uring"]).unwrap().require_io_uring);
    assert!(!parse(&["--require-io-uring=false"]).unwrap().require_io_uring);
}

#[test]
fn a_task_takes_the_settings_that_the_start_takes() {
    let parse = |args: &[&str]| {
        let args = std::iter::once("turnpike-gateway").chain(args.iter().copied());
        Settings::parse(args.map(OsString::from), || Ok(ALLOWED.to_vec()))
    };
    let (task, settings) = parse(&["check", "--output", "json", "--cores", "2"]).unwrap();
    assert_eq!(task, Task::Check(check::Output::Json));
    assert_eq!(settings.cores, [0, 1]);
    assert_eq!(parse(&[]).unwrap().0, Task::Run);
    assert!(parse(&["--cores", "2", "check"]).is_err(), "settings of the start would be ignored");
}
