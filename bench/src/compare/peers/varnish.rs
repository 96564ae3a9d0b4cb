//! Varnish, tuned by its own guidance (users' guide, "Sizing" and "Tuning"): responses in memory, threads for all
//! connections made beforehand, one pool since it has one core, and nothing logged of a request.

use std::net::SocketAddr;
use std::process::Command;

use super::{Downstream, Peer, Role, find_program, write_config};
use crate::compare::child::{Child, free_address};

/// What its log in shared memory gets of a hit; peers write no logs either.
const LOGGED: [&str; 24] = [
    "Begin",
    "End",
    "Hit",
    "Link",
    "ReqAcct",
    "ReqHeader",
    "ReqMethod",
    "ReqProtocol",
    "ReqStart",
    "ReqUnset",
    "ReqURL",
    "RespHeader",
    "RespProtocol",
    "RespReason",
    "RespStatus",
    "RespUnset",
    "SessClose",
    "SessOpen",
    "Timestamp",
    "VCL_acl",
    "VCL_call",
    "VCL_Log",
    "VCL_return",
    "VCL_use",
];

/// It only speaks plain HTTP/1.1 here.
pub(crate) fn start_varnish(role: &Role<'_>) -> Result<Peer, String> {
    if !matches!(role.downstream, Downstream::Http) {
        return Err("Varnish is compared without TLS and HTTP/2 only".to_owned());
    }
    let address = free_address()?;
    let home = role.dir.join("varnish");
    let config = write_config(&home, "default.vcl", &config(role.origin))?;
    let mut command = Command::new(find_program("varnishd")?);
    // Its jail would run it as users who can't reach the directory.
    command.args(["-F", "-j", "none", "-s", "malloc,1g", "-a", &address.to_string()]);
    command.arg("-n").arg(home.join("work")).arg("-f").arg(&config);
    for parameter in parameters() {
        command.args(["-p", &parameter]);
    }
    let mut child = Child::start("varnish", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("varnish", role.downstream.scheme(), address, child))
}

fn parameters() -> Vec<String> {
    let masked: Vec<String> = LOGGED.iter().map(|tag| format!("-{tag}")).collect();
    let fixed = ["thread_pools=1", "thread_pool_min=300", "listen_depth=4096", "timeout_idle=600"];
    fixed
        .iter()
        .map(|parameter| (*parameter).to_owned())
        .chain([format!("vsl_mask={}", masked.join(","))])
        .collect()
}

/// Everything is kept for an hour, whatever its fields say.
fn config(origin: SocketAddr) -> String {
    format!(
        "vcl 4.1;
backend default {{
    .host = \"{}\";
    .port = \"{}\";
}}
sub vcl_backend_response {{
    set beresp.ttl = 1h;
}}
",
        origin.ip(),
        origin.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_origin() {
        let text = config("127.0.0.1:82".parse().unwrap());
        assert!(text.contains(".host = \"127.0.0.1\";") && text.contains(".port = \"82\";"), "{text}");
    }

    #[test]
    fn nothing_is_logged_of_a_hit() {
        assert!(parameters().last().unwrap().starts_with("vsl_mask=-Begin,-End,-Hit,"));
    }
}
