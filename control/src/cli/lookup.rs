//! Which API, stage or route somebody means: by id, or by a name that only one has.

use serde_json::Value;

use super::client::{Client, segment, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rest,
    Http,
    WebSocket,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "REST",
            Self::Http => "HTTP",
            Self::WebSocket => "WEBSOCKET",
        }
    }
}

/// An API of any kind, with what the management API says of it.
#[derive(Debug, Clone)]
pub(super) struct FoundApi {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) answer: Value,
}

impl FoundApi {
    fn rest(answer: Value) -> Self {
        Self { kind: Kind::Rest, id: text(&answer, "id"), name: text(&answer, "name"), answer }
    }

    fn v2(answer: Value) -> Self {
        let kind = if answer["protocolType"] == "WEBSOCKET" { Kind::WebSocket } else { Kind::Http };
        Self { kind, id: text(&answer, "apiId"), name: text(&answer, "name"), answer }
    }

    pub(super) fn is_rest(&self) -> bool {
        self.kind == Kind::Rest
    }

    /// Where its service has it.
    pub(super) fn path(&self) -> String {
        match self.kind {
            Kind::Rest => format!("/restapis/{}", segment(&self.id)),
            Kind::Http | Kind::WebSocket => format!("/v2/apis/{}", segment(&self.id)),
        }
    }

    pub(super) fn stage_path(&self, stage: &str) -> String {
        format!("{}/stages/{}", self.path(), segment(stage))
    }

    /// Where what Turnpike adds to the stage is.
    pub(super) fn extension_path(&self, stage: &str) -> String {
        format!("/turnpike/v1/apis/{}/stages/{}", segment(&self.id), segment(stage))
    }
}

impl Client {
    /// All APIs, REST APIs first.
    pub(super) async fn apis(&self) -> Result<Vec<FoundApi>, String> {
        let rest = self.list("/restapis").await?.into_iter().map(FoundApi::rest);
        let v2 = self.list("/v2/apis").await?.into_iter().map(FoundApi::v2);
        Ok(rest.chain(v2).collect())
    }

    /// # Errors
    /// When no API has this id or name, or several have the name.
    pub(super) async fn api(&self, id_or_name: &str) -> Result<FoundApi, String> {
        let id = segment(id_or_name);
        if let Some(answer) = self.find(&format!("/restapis/{id}")).await? {
            return Ok(FoundApi::rest(answer));
        }
        if let Some(answer) = self.find(&format!("/v2/apis/{id}")).await? {
            return Ok(FoundApi::v2(answer));
        }
        let mut named = self.apis().await?;
        named.retain(|api| api.name == id_or_name);
        match named.len() {
            1 => Ok(named.remove(0)),
            0 => {
                Err(format!("no API has the id or name '{id_or_name}': turnpike-control api list shows them"))
            }
            _ => Err(format!(
                "several APIs have the name '{id_or_name}': name one of the ids {}",
                named.iter().map(|api| api.id.as_str()).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// All stages of the API.
    pub(super) async fn stages(&self, api: &FoundApi) -> Result<Vec<Value>, String> {
        let target = format!("{}/stages", api.path());
        match api.is_rest() {
            // A list without pages.
            true => match self.get(&target).await?["item"].take() {
                Value::Array(stages) => Ok(stages),
                _ => Ok(Vec::new()),
            },
            false => self.list(&target).await,
        }
    }

    /// All deployments of the API, the newest first.
    pub(super) async fn deployments(&self, api: &FoundApi) -> Result<Vec<Value>, String> {
        let mut all = self.list(&format!("{}/deployments", api.path())).await?;
        all.sort_by_key(|deployment| std::cmp::Reverse(created(deployment)));
        Ok(all)
    }
}

/// Seconds of version 1, or a text of version 2 that sorts in the order of time.
pub(super) fn created(answer: &Value) -> (u64, String) {
    let at = &answer["createdDate"];
    (at.as_f64().map_or(0, |at_s| at_s as u64), at.as_str().unwrap_or("").to_owned())
}

/// `API:STAGE`.
pub(super) fn api_stage(text: &str) -> Result<(String, String), String> {
    let (api, stage) = text.rsplit_once(':').ok_or("it has to be API:STAGE")?;
    Ok((api.to_owned(), stage.to_owned()))
}
