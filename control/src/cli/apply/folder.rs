//! A folder of OpenAPI documents and `turnpike.toml`, as what it asks of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::openapi::{Document, DocumentLimits, Substitutes};

const SETTINGS: &str = "turnpike.toml";
/// Control checks documents against its own.
const LIMITS: DocumentLimits = DocumentLimits { depth_max: 1_000, values_max: 10_000_000 };

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// By the name of the document's file, without its ending.
    apis: BTreeMap<String, ApiSettings>,
    domains: BTreeMap<String, DomainSettings>,
    plans: BTreeMap<String, PlanSettings>,
    keys: BTreeMap<String, KeySettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiSettings {
    r#type: ApiType,
    fail_on_warnings: Option<bool>,
    stages: BTreeMap<String, StageSettings>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApiType {
    Rest,
    #[default]
    Http,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StageSettings {
    description: Option<String>,
    auto_deploy: bool,
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainSettings {
    certificate_arn: String,
    security_policy: Option<String>,
    /// `API:STAGE` by path.
    #[serde(default)]
    mappings: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PlanSettings {
    /// `API:STAGE` each.
    stages: Vec<String>,
    rate: Option<f64>,
    burst: Option<u32>,
    quota: Option<u32>,
    period: Option<String>,
    /// Days into the week or the month on which a period begins.
    offset: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySettings {
    /// Variable of the environment that holds the value.
    value_env: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    plans: Vec<String>,
}

fn yes() -> bool {
    true
}

/// What the folder asks for. `variable` looks into the environment.
///
/// # Errors
/// Which file is wrong, and how.
pub(super) fn read(dir: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Value, String> {
    let mut settings = read_settings(&dir.join(SETTINGS))?;
    let (mut apis, mut titles) = (Vec::new(), BTreeMap::new());
    for file in documents(dir)? {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("can't read {}: {error}", file.display()))?;
        let title = title(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        if titles.insert(stem.clone(), title).is_some() {
            return Err(format!("{} has several documents named {stem}", dir.display()));
        }
        apis.push(api(&text, settings.apis.remove(&stem).unwrap_or_default()));
    }
    if let Some(name) = settings.apis.keys().next() {
        return Err(format!(
            "{SETTINGS} has settings for [apis.{name}], but {} has no {name}.yaml, .yml or .json",
            dir.display()
        ));
    }
    if apis.is_empty() && settings.domains.is_empty() && settings.plans.is_empty() && settings.keys.is_empty()
    {
        return Err(format!(
            "{} has neither OpenAPI documents (.yaml, .yml, .json) nor a {SETTINGS}",
            dir.display()
        ));
    }
    let named = |stage: &str| api_stage(stage, &titles);
    let domains = settings.domains.into_iter().map(|(name, domain)| domain_body(name, domain, &named));
    let plans = settings.plans.into_iter().map(|(name, plan)| plan_body(name, plan, &named));
    let keys = settings.keys.into_iter().map(|(name, key)| key_body(name, key, &variable));
    Ok(json!({
        "apis": apis,
        "domains": domains.collect::<Result<Vec<_>, _>>()?,
        "plans": plans.collect::<Result<Vec<_>, _>>()?,
        "keys": keys.collect::<Result<Vec<_>, _>>()?,
    }))
}

fn read_settings(path: &Path) -> Result<Settings, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(format!("can't read {}: {error}", path.display())),
    }
}

/// In the order of their names.
fn documents(dir: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("can't read the folder {}: {error}", dir.display());
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        if path.is_file() && ["yaml", "yml", "json"].contains(&ending) {
            files.insert(path);
        }
    }
    Ok(files)
}

fn title(text: &str) -> Result<String, String> {
    let substitutes = Substitutes { account: "", region: "" };
    let document =
        Document::read(text.as_bytes(), LIMITS, &substitutes).map_err(|error| error.to_string())?;
    document.title().ok_or_else(|| "it has no info.title".to_owned())
}

/// The name of an API of what [`read`] gave.
pub(super) fn title_of(api: &Value) -> Option<String> {
    title(api["document"].as_str()?).ok()
}

fn api(text: &str, settings: ApiSettings) -> Value {
    let kind = match settings.r#type {
        ApiType::Rest => "REST",
        ApiType::Http => "HTTP",
    };
    let stages = settings.stages.into_iter().map(|(name, stage)| {
        let StageSettings { description, auto_deploy, variables } = stage;
        json!({"name": name, "description": description, "autoDeploy": auto_deploy, "variables": variables})
    });
    json!({
        "document": text,
        "type": kind,
        "failOnWarnings": settings.fail_on_warnings,
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// API, by its name on the server, and stage of `API:STAGE`; an API of the folder may be named by its file.
fn api_stage(text: &str, titles: &BTreeMap<String, String>) -> Result<(String, String), String> {
    let (api, stage) =
        text.rsplit_once(':').ok_or_else(|| format!("{SETTINGS}: '{text}' has to be API:STAGE"))?;
    Ok((titles.get(api).cloned().unwrap_or_else(|| api.to_owned()), stage.to_owned()))
}

type Named<'n> = &'n dyn Fn(&str) -> Result<(String, String), String>;

fn domain_body(name: String, domain: DomainSettings, named: Named<'_>) -> Result<Value, String> {
    let mut mappings = Vec::new();
    for (path, leads) in &domain.mappings {
        let (api, stage) = named(leads)?;
        mappings.push(json!({"path": path, "api": api, "stage": stage}));
    }
    Ok(json!({
        "name": name,
        "certificateArn": domain.certificate_arn,
        "securityPolicy": domain.security_policy,
        "mappings": mappings,
    }))
}

fn plan_body(name: String, plan: PlanSettings, named: Named<'_>) -> Result<Value, String> {
    let stages = plan.stages.iter().map(|stage| named(stage).map(|(api, stage)| format!("{api}:{stage}")));
    let mut body = Map::new();
    body.insert("name".to_owned(), name.into());
    body.insert("stages".to_owned(), stages.collect::<Result<Vec<_>, _>>()?.into());
    body.insert("rate".to_owned(), json!(plan.rate));
    body.insert("burst".to_owned(), json!(plan.burst));
    body.insert("quota".to_owned(), json!(plan.quota));
    body.insert("period".to_owned(), json!(plan.period));
    body.insert("offset".to_owned(), json!(plan.offset));
    Ok(Value::Object(body))
}

fn key_body(
    name: String,
    key: KeySettings,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Value, String> {
    let value = match &key.value_env {
        None => None,
        Some(env) => Some(variable(env).ok_or_else(|| {
            format!("{SETTINGS}: the value of key {name} is to be in the variable {env}, which isn't set")
        })?),
    };
    Ok(json!({"name": name, "value": value, "enabled": key.enabled, "plans": key.plans}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        dir
    }

    const PETS: &str = "openapi: 3.0.1\ninfo: {title: The pets, version: '1'}\npaths: {}\n";

    #[test]
    fn files_and_settings_become_one_document() {
        let settings = "[apis.pets]\ntype = 'rest'\n[apis.pets.stages.prod]\nvariables = {a = 'b'}\n\
                        [domains.'api.example.com']\ncertificate_arn = 'arn'\nmappings = {'' = 'pets:prod', v1 = 'other:x'}\n\
                        [plans.gold]\nstages = ['pets:prod']\n[keys.mobile]\nvalue_env = 'KEY'\nplans = ['gold']\n";
        let dir = folder(&[("pets.yaml", PETS), (SETTINGS, settings), ("notes.txt", "x")]);
        let read = read(dir.path(), |name| (name == "KEY").then(|| "secret".to_owned())).expect("valid");
        assert_eq!(read["apis"][0]["type"], "REST");
        assert_eq!(read["apis"][0]["stages"][0]["variables"], json!({"a": "b"}));
        assert_eq!(
            read["domains"][0]["mappings"][0],
            json!({"path": "", "api": "The pets", "stage": "prod"})
        );
        assert_eq!(read["domains"][0]["mappings"][1]["api"], "other");
        assert_eq!(read["plans"][0]["stages"], json!(["The pets:prod"]));
        assert_eq!(read["keys"][0]["value"], "secret");
    }

    #[test]
    fn mistakes_name_the_file() {
        for (files, expected) in [
            (&[][..], "neither"),
            (&[("pets.yaml", "x: 1")], "pets.yaml"),
            (
                &[("pets.yaml", PETS), ("pets.json", "{\"openapi\":\"3.0.1\",\"info\":{\"title\":\"x\"}}")],
                "several",
            ),
            (&[(SETTINGS, "[apis.owners]\n")], "owners.yaml"),
            (&[(SETTINGS, "[api.owners]\n")], "unknown field"),
            (&[("pets.yaml", PETS), (SETTINGS, "[keys.a]\nvalue_env = 'NOT_SET'\n")], "NOT_SET"),
            (&[("pets.yaml", PETS), (SETTINGS, "[plans.a]\nstages = ['pets']\n")], "API:STAGE"),
        ] {
            let dir = folder(files);
            let error = read(dir.path(), |_| None).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        assert!(read(Path::new("/nonexistent"), |_| None).expect_err("no folder").contains("/nonexistent"));
    }
}
