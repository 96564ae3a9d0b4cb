//! nginx with plugins in Lua, as a stand-in for Kong and APISIX, which are made so: API keys, usage plans and token buckets
//! in dictionaries in shared memory, counters and latencies as their Prometheus plugins keep them, and nginx's own access log
//! as JSON. One worker on one core, so that no lock is ever contended.

use std::path::{Path, PathBuf};

use super::nginx::{Additions, start_with};
use super::{Downstream, Peer, Role};

/// Where Debian and its like keep nginx's modules.
const MODULES: &str = "/usr/lib/nginx/modules";
const MODULE_FILES: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];

/// What requests pass through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plugins<'a> {
    /// The one key that is known.
    pub(crate) key: Option<&'a str>,
    /// Of account, route and key: a bucket each that is never empty.
    pub(crate) throttles: bool,
    pub(crate) metrics: bool,
    pub(crate) access_log: Option<&'a Path>,
}

pub(crate) fn start_nginx_lua(name: &str, role: &Role<'_>, plugins: &Plugins<'_>) -> Result<Peer, String> {
    if !matches!(role.downstream, Downstream::Http) {
        return Err("nginx with Lua is compared without TLS and HTTP/2 only".to_owned());
    }
    let access_log = plugins
        .access_log
        .map(|file| format!("{LOG_FORMAT}    access_log {} turnpike buffer=64k flush=1s;\n", file.display()));
    let additions =
        Additions { modules: modules()?, access_log, http: http(plugins), location: location(plugins) };
    start_with(name, role, &additions)
}

fn modules() -> Result<String, String> {
    let load = |file: &str| {
        let path = PathBuf::from(MODULES).join(file);
        let reason = || format!("{} is missing: apt-get install libnginx-mod-http-lua", path.display());
        if path.is_file() { Ok(format!("load_module {};\n", path.display())) } else { Err(reason()) }
    };
    MODULE_FILES.into_iter().map(load).collect()
}

/// What Turnpike's default format has.
const LOG_FORMAT: &str =
    "log_format turnpike escape=json '{\"requestId\":\"$request_id\",\"ip\":\"$remote_addr\",\
\"requestTime\":\"$time_local\",\"httpMethod\":\"$request_method\",\"path\":\"$uri\",\"status\":\"$status\",\
\"protocol\":\"$server_protocol\",\"responseLength\":\"$body_bytes_sent\",\"latency\":\"$request_time\"}';
";

fn http(plugins: &Plugins<'_>) -> String {
    let key = plugins.key.map(|key| format!("        ngx.shared.keys:set(\"{key}\", \"plan\")\n"));
    format!(
        "    lua_shared_dict keys 64m;
    lua_shared_dict buckets 64m;
    lua_shared_dict counters 16m;
    init_by_lua_block {{
{}    }}
",
        key.unwrap_or_default()
    )
}

fn location(plugins: &Plugins<'_>) -> String {
    let access = if plugins.key.is_some() || plugins.throttles { access(plugins) } else { String::new() };
    access + if plugins.metrics { METRICS } else { "" }
}

/// A bucket is two numbers: what it held, and when.
fn access(plugins: &Plugins<'_>) -> String {
    let key = "                local key = ngx.var.http_x_api_key
                local plan = key and ngx.shared.keys:get(key)
                if not plan then return ngx.exit(403) end
";
    let throttles = "                local buckets, now = ngx.shared.buckets, ngx.now()
                local function take(name, rate, burst)
                    local held, at = buckets:get(name), buckets:get(name .. \"@\")
                    held = math.min(burst, (held or burst) + (now - (at or now)) * rate)
                    if held < 1 then return ngx.exit(429) end
                    buckets:set(name, held - 1)
                    buckets:set(name .. \"@\", now)
                end
                take(\"account\", 10000000, 10000000)
                take(\"route\", 10000000, 10000000)
                take(KEY, 10000000, 10000000)
";
    let throttles = throttles.replace("KEY", if plugins.key.is_some() { "key" } else { "\"anybody\"" });
    let parts = [plugins.key.map(|_| key), plugins.throttles.then_some(&*throttles)];
    let lines: String = parts.into_iter().flatten().collect();
    format!("            access_by_lua_block {{\n{lines}            }}\n")
}

/// Requests by status, and a histogram of latencies.
const METRICS: &str = "            log_by_lua_block {
                local counters = ngx.shared.counters
                counters:incr(\"requests:\" .. ngx.status, 1, 0)
                local seconds = tonumber(ngx.var.request_time)
                counters:incr(\"latency:sum\", seconds, 0)
                for _, bound in ipairs({0.001, 0.01, 0.1, 1, 10}) do
                    if seconds <= bound then counters:incr(\"latency:\" .. bound, 1, 0) break end
                end
            }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_there_where_they_are_wanted() {
        let all = Plugins { key: Some("k1"), throttles: true, metrics: true, access_log: None };
        assert!(http(&all).contains("ngx.shared.keys:set(\"k1\", \"plan\")"));
        let lines = location(&all);
        assert!(lines.contains("http_x_api_key") && lines.contains("take(key, "), "{lines}");
        assert!(lines.contains("log_by_lua_block"), "{lines}");
        assert_eq!(location(&Plugins::default()), "");
        let throttled = location(&Plugins { throttles: true, ..Plugins::default() });
        assert!(
            !throttled.contains("http_x_api_key") && throttled.contains("take(\"anybody\""),
            "{throttled}"
        );
    }
}
