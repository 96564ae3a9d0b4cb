//! VPC links: named pools of private targets. What AWS builds one from is kept for the caller; where it leads is
//! said by its targets.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags, Targets, Variables};

const STAGE_VARIABLE: &str = "${stageVariables.";

/// Of apigateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestVpcLink {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// Kept for the caller: no load balancer is asked.
    pub target_arns: Vec<String>,
    pub tags: Tags,
}

/// Of apigatewayv2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpVpcLink {
    pub id: String,
    pub name: String,
    /// Kept for the caller, as the security groups are.
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
    pub tags: Tags,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

/// Where a VPC link of either kind leads; one without has no targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTargets {
    pub link_id: String,
    pub targets: Targets,
}

/// The name of the stage variable that a connectionId stands for; `None` when it is an id itself.
#[must_use]
pub fn link_variable(connection_id: &str) -> Option<&str> {
    let name = connection_id.strip_prefix(STAGE_VARIABLE)?.strip_suffix('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some(name)
}

/// The id of the link that a connectionId means in a stage.
///
/// # Errors
/// The name of the variable that the stage lacks.
pub fn link_id<'a>(connection_id: &'a str, variables: &'a Variables) -> Result<&'a str, &'a str> {
    match link_variable(connection_id) {
        None => Ok(connection_id),
        Some(name) => variables.get(name).map(String::as_str).ok_or(name),
    }
}

impl Entity for RestVpcLink {
    const KIND: &'static str = "rest-vpc-link";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Entity for HttpVpcLink {
    const KIND: &'static str = "http-vpc-link";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Entity for LinkTargets {
    const KIND: &'static str = "vpc-link-targets";

    fn id(&self) -> &str {
        &self.link_id
    }
}
