//! REST APIs of a Turnpike under test, with usage plans and API keys, made by calls as any client would make them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::turnpike::{Turnpike, text};

pub(crate) const STAGE: &str = "prod";
/// Of one call.
const KEYS_IMPORTED_MAX: usize = 10_000;

/// Of a token bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) rate_per_s: u32,
    pub(crate) burst_requests: u32,
}

impl Limit {
    /// What no measurement reaches.
    pub(crate) const FREE: Self = Self { rate_per_s: 10_000_000, burst_requests: 10_000_000 };

    /// What it lets through in a window.
    pub(crate) fn allows(self, seconds: f64) -> f64 {
        f64::from(self.burst_requests) + f64::from(self.rate_per_s) * seconds
    }

    /// Rate and burst as settings have them.
    pub(crate) fn texts(self) -> (String, String) {
        (self.rate_per_s.to_string(), self.burst_requests.to_string())
    }
}

impl Turnpike {
    /// The id of a REST API that passes every GET below its root on to `origin`, deployed to [`STAGE`].
    pub(crate) fn make_rest_api(&mut self, origin: SocketAddr, key_required: bool) -> Result<String, String> {
        let api = self.call("POST", "/restapis", Some(&json!({"name": "bench"})))?;
        let (api_id, root_id) = (text(&api, "id")?, text(&api, "rootResourceId")?);
        let resources = format!("/restapis/{api_id}/resources");
        let resource =
            self.call("POST", &format!("{resources}/{root_id}"), Some(&json!({"pathPart": "{path+}"})))?;
        let method = format!("{resources}/{}/methods/GET", text(&resource, "id")?);
        let wanted = json!({
            "authorizationType": "NONE", "apiKeyRequired": key_required,
            "requestParameters": {"method.request.path.path": true},
        });
        self.call("PUT", &method, Some(&wanted))?;
        let integration = json!({
            "type": "HTTP_PROXY", "httpMethod": "GET", "uri": format!("http://{origin}/{{path}}"),
            "requestParameters": {"integration.request.path.path": "method.request.path.path"},
        });
        self.call("PUT", &format!("{method}/integration"), Some(&integration))?;
        let deployment = json!({"stageName": STAGE});
        self.call("POST", &format!("/restapis/{api_id}/deployments"), Some(&deployment))?;
        Ok(api_id)
    }

    /// Replaces values of the API's stage.
    fn patch_stage(&mut self, api_id: &str, values: &[(&str, &str)]) -> Result<(), String> {
        let patch = |(path, value): &(&str, &str)| json!({"op": "replace", "path": path, "value": value});
        let patches: Vec<Value> = values.iter().map(patch).collect();
        let path = format!("/restapis/{api_id}/stages/{STAGE}");
        self.call("PATCH", &path, Some(&json!({"patchOperations": patches}))).map(|_| ())
    }

    /// Each of the stage's methods has this throttle.
    pub(crate) fn throttle_methods(&mut self, api_id: &str, limit: Limit) -> Result<(), String> {
        let (rate, burst) = limit.texts();
        let values = [("/*/*/throttling/rateLimit", &*rate), ("/*/*/throttling/burstLimit", &*burst)];
        self.patch_stage(api_id, &values)
    }

    /// The stage's methods are cached for an hour.
    pub(crate) fn cache_methods(&mut self, api_id: &str) -> Result<(), String> {
        let values = [
            ("/cacheClusterEnabled", "true"),
            ("/*/*/caching/enabled", "true"),
            ("/*/*/caching/ttlInSeconds", "3600"),
            // A setting comes with AWS's throttle for an account, which isn't what is measured.
            ("/*/*/throttling/rateLimit", "-1"),
            ("/*/*/throttling/burstLimit", "-1"),
        ];
        self.patch_stage(api_id, &values)
    }

    /// The id of a usage plan of the API; each of its keys has this rate and burst, if any.
    pub(crate) fn make_plan(&mut self, api_id: &str, throttle: Option<Limit>) -> Result<String, String> {
        let throttle =
            throttle.map(|limit| json!({"rateLimit": limit.rate_per_s, "burstLimit": limit.burst_requests}));
        self.make_plan_with(api_id, "throttle", throttle)
    }

    /// The same; each of its keys may make so many calls a month.
    pub(crate) fn make_quota_plan(&mut self, api_id: &str, quota: u64) -> Result<String, String> {
        self.make_plan_with(api_id, "quota", Some(json!({"limit": quota, "period": "MONTH"})))
    }

    fn make_plan_with(&mut self, api_id: &str, what: &str, value: Option<Value>) -> Result<String, String> {
        let mut plan = json!({"name": "bench", "apiStages": [{"apiId": api_id, "stage": STAGE}]});
        if let Some(value) = value {
            plan[what] = value;
        }
        text(&self.call("POST", "/usageplans", Some(&plan))?, "id")
    }

    /// Adds keys to a plan: their values.
    pub(crate) fn import_keys(&mut self, plan_id: &str, keys: usize) -> Result<Vec<String>, String> {
        let values: Vec<String> = (0..keys).map(|key| format!("key-of-{plan_id}-{key:08}")).collect();
        let mut client = self.client()?;
        let path = "/apikeys?format=csv&mode=import";
        for part in values.chunks(KEYS_IMPORTED_MAX) {
            let (status, answer) = client.send("POST", path, file(plan_id, part).as_bytes())?;
            let answer = String::from_utf8_lossy(&answer);
            if status != 201 || answer.contains("warnings") {
                return Err(format!("an import of API keys was answered {status}: {answer}"));
            }
        }
        self.reconnect()?;
        Ok(values)
    }
}

/// AWS's format of API key files.
fn file(plan_id: &str, values: &[String]) -> String {
    let rows = values.iter().map(|value| format!("{value},{value},true,{plan_id}\n"));
    format!("name,key,enabled,usageplanids\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_name_their_plan() {
        let text = file("p1", &["a".to_owned(), "b".to_owned()]);
        assert_eq!(text, "name,key,enabled,usageplanids\na,a,true,p1\nb,b,true,p1\n");
    }
}
