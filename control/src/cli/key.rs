//! `key`: API keys, and the usage plans that they are in.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment, text};
use super::document;

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List the API keys, without their values.
    List {
        /// Only those whose names begin so
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one API key with the usage plans that it is in.
    Show {
        #[arg(value_name = "KEY", help = KEY_HELP)]
        key: String,
        /// Show its value too, which is a secret
        #[arg(long)]
        value: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make an enabled API key, and print its id and its value.
    Create {
        #[arg(value_name = "NAME", help = "Its name")]
        name: String,
        /// Its value is the first line of this file, - for standard input; 20 to 128 characters
        /// [default: one made of chance]
        #[arg(long, value_name = "FILE")]
        value_file: Option<String>,
        /// Usage plan to put it in; may come several times
        #[arg(long, value_name = "ID")]
        plan: Vec<String>,
        #[arg(long, value_name = "TEXT", help = "Whose it is, or what it is for")]
        description: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Let callers use a key again.
    Enable {
        #[command(flatten)]
        of: Of,
    },
    /// Refuse callers that show a key.
    Disable {
        #[command(flatten)]
        of: Of,
    },
    /// Put a key into a usage plan.
    Attach {
        #[command(flatten)]
        of: Of,
        #[arg(long, value_name = "ID", help = "The usage plan")]
        plan: String,
    },
    /// Take a key out of a usage plan.
    Detach {
        #[command(flatten)]
        of: Of,
        #[arg(long, value_name = "ID", help = "The usage plan")]
        plan: String,
    },
    /// Delete a key, and take it out of its usage plans.
    Delete {
        #[command(flatten)]
        of: Of,
    },
    /// Import keys from a CSV file, and print their ids.
    ///
    /// Its first line names the columns: name and key, perhaps description, enabled and usageplanids. A key that is
    /// there already (the same value) is brought up to date.
    Import {
        /// The file; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: String,
        /// Import nothing if a line can't be taken
        #[arg(long)]
        fail_on_warnings: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

const KEY_HELP: &str = "The key's id, or its name if no other key has it";

#[derive(Debug, Args)]
struct Of {
    #[arg(value_name = "KEY", help = KEY_HELP)]
    key: String,
    #[command(flatten)]
    reach: Reach,
}

impl Of {
    /// The key's id, and whom to ask.
    async fn found(&self) -> Result<(Client, String), String> {
        let client = self.reach.client()?;
        let id = client.key(&self.key).await?;
        Ok((client, id))
    }
}

pub(super) async fn run(args: KeyArgs) -> Result<(), String> {
    match args.command {
        KeyCommand::List { name, reach } => {
            let client = reach.client()?;
            let query = name.map_or_else(String::new, |name| format!("?name={}", segment(&name)));
            let keys = client.list(&format!("/apikeys{query}")).await?;
            client.output.list(
                "API keys",
                ["ID", "NAME", "ENABLED", "CUSTOMER", "DESCRIPTION"],
                &keys,
                |key| ["id", "name", "enabled", "customerId", "description"].map(|member| text(key, member)),
            )
        }
        KeyCommand::Show { key, value, reach } => {
            let client = reach.client()?;
            let id = client.key(&key).await?;
            show(&client, &id, value).await
        }
        KeyCommand::Create { name, value_file, plan, description, reach } => {
            let client = reach.client()?;
            create(&client, &name, value_file.as_deref(), &plan, description).await
        }
        KeyCommand::Enable { of } => enable(&of, true).await,
        KeyCommand::Disable { of } => enable(&of, false).await,
        KeyCommand::Attach { of, plan } => {
            let (client, id) = of.found().await?;
            let answer = client.attach(&id, &plan).await?;
            client.output.done(&answer, &format!("key {id} is in usage plan {plan}"))
        }
        KeyCommand::Detach { of, plan } => {
            let (client, id) = of.found().await?;
            client.delete(&format!("/usageplans/{}/keys/{}", segment(&plan), segment(&id))).await?;
            client.output.done(&Value::Null, &format!("key {id} is out of usage plan {plan}"))
        }
        KeyCommand::Delete { of } => {
            let (client, id) = of.found().await?;
            client.delete(&format!("/apikeys/{}", segment(&id))).await?;
            client.output.done(&Value::Null, &format!("deleted key {id}"))
        }
        KeyCommand::Import { file, fail_on_warnings, reach } => {
            let client = reach.client()?;
            let target = format!("/apikeys?mode=import&format=csv&failonwarnings={fail_on_warnings}");
            let answer = client.call("POST", &target, &document::read(&file)?).await?;
            let lines =
                |member: &str| answer[member].as_array().into_iter().flatten().filter_map(Value::as_str);
            let said: Vec<String> = lines("ids")
                .map(str::to_owned)
                .chain(lines("warnings").map(|w| format!("warning: {w}")))
                .collect();
            client.output.done(&answer, &said.join("\n"))
        }
    }
}

impl Client {
    /// The id of the key that has this id or, alone, this name.
    async fn key(&self, id_or_name: &str) -> Result<String, String> {
        if self.find(&format!("/apikeys/{}", segment(id_or_name))).await?.is_some() {
            return Ok(id_or_name.to_owned());
        }
        let mut named = self.list(&format!("/apikeys?name={}", segment(id_or_name))).await?;
        named.retain(|key| key["name"] == id_or_name);
        match &named[..] {
            [key] => Ok(text(key, "id")),
            [] => Err(format!(
                "no API key has the id or name '{id_or_name}': turnpike-control key list shows them"
            )),
            _ => Err(format!(
                "several API keys have the name '{id_or_name}': name one of the ids {}",
                named.iter().map(|key| text(key, "id")).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    async fn attach(&self, key: &str, plan: &str) -> Result<Value, String> {
        self.post(
            &format!("/usageplans/{}/keys", segment(plan)),
            &json!({"keyId": key, "keyType": "API_KEY"}),
        )
        .await
    }
}

async fn enable(of: &Of, enabled: bool) -> Result<(), String> {
    let (client, id) = of.found().await?;
    let patch = json!({"op": "replace", "path": "/enabled", "value": enabled.to_string()});
    let answer =
        client.patch(&format!("/apikeys/{}", segment(&id)), &json!({"patchOperations": [patch]})).await?;
    client.output.done(&answer, &format!("key {id} is {}", if enabled { "enabled" } else { "disabled" }))
}

async fn show(client: &Client, id: &str, with_value: bool) -> Result<(), String> {
    let key = client.get(&format!("/apikeys/{}?includeValue={with_value}", segment(id))).await?;
    let plans = client.list(&format!("/usageplans?keyId={}", segment(id))).await?;
    let plans: Vec<String> =
        plans.iter().map(|plan| format!("{} ({})", text(plan, "id"), text(plan, "name"))).collect();
    let [key_id, name, enabled, customer, description, value] =
        ["id", "name", "enabled", "customerId", "description", "value"].map(|member| text(&key, member));
    client.output.show(
        &key,
        [
            ("id", key_id),
            ("name", name),
            ("enabled", enabled),
            ("customer", customer),
            ("description", description),
            ("value", value),
            ("usage plans", plans.join(", ")),
        ],
    )
}

async fn create(
    client: &Client,
    name: &str,
    value_file: Option<&str>,
    plans: &[String],
    description: Option<String>,
) -> Result<(), String> {
    let mut body = json!({"name": name, "enabled": true, "generateDistinctId": true});
    if let Some(file) = value_file {
        let text =
            String::from_utf8(document::read(file)?).map_err(|_| "the key's value isn't text".to_owned())?;
        body["value"] = text.lines().next().unwrap_or("").trim().into();
    }
    if let Some(description) = description {
        body["description"] = description.into();
    }
    let key = client.post("/apikeys", &body).await?;
    let id = text(&key, "id");
    for plan in plans {
        client
            .attach(&id, plan)
            .await
            .map_err(|error| format!("key {id} was made, but isn't in {plan}: {error}"))?;
    }
    client.output.show(&key, [("id", id.clone()), ("value", text(&key, "value"))])
}
