//! What the account itself has set. Without any, it has the defaults.

use serde::{Deserialize, Serialize};

use super::Entity;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountSettings {
    /// Kept for the caller: logs are files here.
    pub cloudwatch_role_arn: Option<String>,
    /// `UsagePlans`, once somebody asked for it; it can't be taken away.
    pub usage_plans: bool,
}

impl Entity for AccountSettings {
    const KIND: &'static str = "account-settings";

    fn id(&self) -> &str {
        "account"
    }
}
