//! `route`: methods of REST APIs and routes of the others, as one list.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment, text};
use super::lookup::{FoundApi, Kind};

#[derive(Debug, Args)]
pub(super) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// List the routes of an API as it is now, deployed or not.
    List {
        #[arg(value_name = "API", help = API_HELP)]
        api: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one route.
    Show {
        #[arg(value_name = "API", help = API_HELP)]
        api: String,
        #[arg(value_name = "ROUTE", help = ROUTE_HELP)]
        route: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make a route that passes requests on to a URL.
    ///
    /// `{name}` in the URL is filled in from the route's path. A REST API gets the resources that it lacks.
    Create {
        #[arg(value_name = "API", help = API_HELP)]
        api: String,
        #[arg(value_name = "ROUTE", help = ROUTE_HELP)]
        route: String,
        /// URL that requests are passed on to, such as http://10.0.0.1:3000/pets/{id}
        #[arg(long, value_name = "URL")]
        target: String,
        /// Callers have to show an API key that is in a usage plan of the stage
        #[arg(long)]
        api_key_required: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Delete a route, and its integration if no other route uses it.
    Delete {
        #[arg(value_name = "API", help = API_HELP)]
        api: String,
        #[arg(value_name = "ROUTE", help = ROUTE_HELP)]
        route: String,
        #[command(flatten)]
        reach: Reach,
    },
}

const API_HELP: &str = "The API's id, or its name if no other API has it";
const ROUTE_HELP: &str = "Method and path, such as 'GET /pets/{id}' or 'ANY /{path+}', or $default";

pub(super) async fn run(args: RouteArgs) -> Result<(), String> {
    match args.command {
        RouteCommand::List { api, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            let routes = routes(&client, &api).await?;
            client.output.list("routes", ["ROUTE", "ID", "INTEGRATION", "AUTHORIZATION"], &routes, |route| {
                ["route", "id", "integration", "authorization"].map(|member| text(route, member))
            })
        }
        RouteCommand::Show { api, route, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            let found = route_of(&client, &api, &route).await?;
            let fields = ["route", "id", "integration", "authorization", "apiKeyRequired"];
            client.output.show(&found, fields.map(|member| (member, text(&found, member))))
        }
        RouteCommand::Create { api, route, target, api_key_required, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            let wanted = Wanted { route: &route, target: &target, api_key_required };
            let made = match api.kind {
                Kind::Rest => create_method(&client, &api, &wanted).await?,
                Kind::Http => create_route(&client, &api, &wanted).await?,
                Kind::WebSocket => {
                    return Err(
                        "routes of WebSocket APIs are made with the AWS CLI: aws apigatewayv2 create-route"
                            .to_owned(),
                    );
                }
            };
            client.output.done(&made, &format!("{route} leads to {target} once it is deployed"))
        }
        RouteCommand::Delete { api, route, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            let found = route_of(&client, &api, &route).await?;
            delete(&client, &api, &found).await?;
            client.output.done(&Value::Null, &format!("deleted {route}, once it is deployed"))
        }
    }
}

async fn route_of(client: &Client, api: &FoundApi, route: &str) -> Result<Value, String> {
    let found = routes(client, api).await?.into_iter().find(|found| found["route"] == route);
    found.ok_or_else(|| {
        format!("API {} has no route '{route}': turnpike-control route list {} shows them", api.id, api.id)
    })
}

/// Each as `route`, `id`, `integration` and `authorization`, whatever the API's kind, in the order of paths.
async fn routes(client: &Client, api: &FoundApi) -> Result<Vec<Value>, String> {
    let mut routes = match api.is_rest() {
        true => methods(client, api).await?,
        false => v2_routes(client, api).await?,
    };
    let path_first = |route: &Value| {
        let key = text(route, "route");
        key.split_once(' ')
            .map_or_else(|| (key.clone(), String::new()), |(m, p)| (p.to_owned(), m.to_owned()))
    };
    routes.sort_by_key(path_first);
    Ok(routes)
}

async fn methods(client: &Client, api: &FoundApi) -> Result<Vec<Value>, String> {
    let resources = client.list(&format!("{}/resources?embed=methods", api.path())).await?;
    let mut routes = Vec::new();
    for resource in &resources {
        for (name, method) in resource["resourceMethods"].as_object().into_iter().flatten() {
            let integration = &method["methodIntegration"];
            routes.push(json!({
                "route": format!("{name} {}", text(resource, "path")),
                "id": resource["id"],
                "integration": described(&text(integration, "type"), &text(integration, "uri")),
                "authorization": method["authorizationType"],
                "apiKeyRequired": method["apiKeyRequired"],
            }));
        }
    }
    Ok(routes)
}

async fn v2_routes(client: &Client, api: &FoundApi) -> Result<Vec<Value>, String> {
    let integrations = client.list(&format!("{}/integrations", api.path())).await?;
    let routes = client.list(&format!("{}/routes", api.path())).await?;
    let route = |route: Value| {
        let id = text(&route, "target");
        let id = id.strip_prefix("integrations/").unwrap_or("");
        let integration = integrations.iter().find(|integration| integration["integrationId"] == id);
        let managed = integration.is_some_and(|integration| integration["apiGatewayManaged"] == true);
        let integration = integration.map(|integration| {
            described(&text(integration, "integrationType"), &text(integration, "integrationUri"))
        });
        json!({
            "route": route["routeKey"],
            "id": route["routeId"],
            "integrationId": id,
            "integration": integration,
            "integrationManaged": managed,
            "authorization": route["authorizationType"],
            "apiKeyRequired": route["apiKeyRequired"],
        })
    };
    Ok(routes.into_iter().map(route).collect())
}

fn described(kind: &str, uri: &str) -> String {
    format!("{kind} {uri}").trim().to_owned()
}

/// A route to be made.
struct Wanted<'w> {
    route: &'w str,
    target: &'w str,
    api_key_required: bool,
}

async fn create_route(client: &Client, api: &FoundApi, wanted: &Wanted<'_>) -> Result<Value, String> {
    let Wanted { route, target, api_key_required } = *wanted;
    let method = route.split_once(' ').map_or("ANY", |(method, _)| method);
    let integration = json!({
        "integrationType": "HTTP_PROXY",
        "integrationMethod": method,
        "integrationUri": target,
        "payloadFormatVersion": "1.0",
    });
    let integrations = format!("{}/integrations", api.path());
    let made = client.post(&integrations, &integration).await?;
    let id = text(&made, "integrationId");
    let target = format!("integrations/{id}");
    let body = json!({"routeKey": route, "target": target, "apiKeyRequired": api_key_required});
    let created = client.post(&format!("{}/routes", api.path()), &body).await;
    if created.is_err() {
        // Nothing leads to it: what was begun is taken back, and the refusal of the route is what counts.
        client.delete(&format!("{integrations}/{id}")).await?;
    }
    created
}

/// Makes the resources on the way that aren't there, the method, and its integration.
async fn create_method(client: &Client, api: &FoundApi, wanted: &Wanted<'_>) -> Result<Value, String> {
    let Wanted { route, target, api_key_required } = *wanted;
    let (method, path) = route
        .split_once(' ')
        .filter(|(_, path)| path.starts_with('/'))
        .ok_or_else(|| format!("'{route}' has to be a method and a path, such as 'GET /pets/{{id}}'"))?;
    let resources = client.list(&format!("{}/resources", api.path())).await?;
    let mut whole = String::new();
    let root =
        resources.iter().find(|resource| resource["path"] == "/").ok_or("the API has no root resource")?;
    let mut parent = text(root, "id");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        whole = format!("{whole}/{part}");
        parent = match resources.iter().find(|resource| resource["path"] == whole) {
            Some(resource) => text(resource, "id"),
            None => {
                let below = format!("{}/resources/{}", api.path(), segment(&parent));
                text(&client.post(&below, &json!({"pathPart": part})).await?, "id")
            }
        };
    }
    let names: Vec<&str> = variables(path).collect();
    let parameters: serde_json::Map<String, Value> =
        names.iter().map(|name| (format!("method.request.path.{name}"), true.into())).collect();
    let passed: serde_json::Map<String, Value> = variables(target)
        .filter(|name| names.contains(name))
        .map(|name| {
            (format!("integration.request.path.{name}"), format!("method.request.path.{name}").into())
        })
        .collect();
    let at = format!("{}/resources/{}/methods/{}", api.path(), segment(&parent), segment(method));
    let body = json!({
        "authorizationType": "NONE", "apiKeyRequired": api_key_required, "requestParameters": parameters,
    });
    client.put(&at, &body).await?;
    let integration = json!({
        "type": "HTTP_PROXY", "httpMethod": method, "uri": target, "requestParameters": passed,
    });
    match client.put(&format!("{at}/integration"), &integration).await {
        Ok(_) => client.get(&at).await,
        Err(error) => {
            client.delete(&at).await?;
            Err(error)
        }
    }
}

/// Names in braces, without the `+` of a greedy one.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name.trim_end_matches('+'))
}

async fn delete(client: &Client, api: &FoundApi, route: &Value) -> Result<(), String> {
    let id = segment(&text(route, "id"));
    if api.is_rest() {
        let key = text(route, "route");
        let method = key.split_once(' ').map_or("", |(method, _)| method);
        return client.delete(&format!("{}/resources/{id}/methods/{}", api.path(), segment(method))).await;
    }
    client.delete(&format!("{}/routes/{id}", api.path())).await?;
    let integration = text(route, "integrationId");
    let others = v2_routes(client, api).await?;
    // Quick create's stays for as long as the API.
    let stays = integration.is_empty() || route["integrationManaged"] == true;
    if stays || others.iter().any(|other| other["integrationId"] == integration) {
        return Ok(());
    }
    client.delete(&format!("{}/integrations/{}", api.path(), segment(&integration))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found() {
        assert_eq!(variables("/a/{b}/{c+}").collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(variables("/a/{b").count(), 0);
    }
}
