//! What is configured and does nothing yet, wherever it is: [`crate::compile::enforcement`] says what that is.

use super::View;
use crate::compile::enforcement::{Configured, unenforced, unenforced_entity, unenforced_part};
use crate::model::{Api, HttpApi, HttpStage, Part, RestApi, RestStage};
use crate::store::StoreError;

/// A setting that does nothing yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unenforced {
    /// `None`: the account's.
    pub api_id: Option<String>,
    /// `None`: the whole API's.
    pub stage: Option<String>,
    pub setting: &'static str,
}

/// APIs that are read at once.
const PAGE: usize = 500;

impl View<'_> {
    /// Sorted.
    ///
    /// # Errors
    /// The store's.
    pub fn unenforced(&self) -> Result<Vec<Unenforced>, StoreError> {
        let mut found = self.unenforced_of_apis::<RestApi>()?;
        found.extend(self.unenforced_of_apis::<HttpApi>()?);
        found.extend(self.unenforced_of_stages::<RestStage>()?);
        found.extend(self.unenforced_of_stages::<HttpStage>()?);
        for (api_id, kind) in self.tx.part_kinds()? {
            let setting = unenforced_part(&kind);
            found.extend(setting.map(|setting| Unenforced { api_id: Some(api_id), stage: None, setting }));
        }
        for kind in self.tx.entity_kinds()? {
            let setting = unenforced_entity(&kind);
            found.extend(setting.map(|setting| Unenforced { api_id: None, stage: None, setting }));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn unenforced_of_apis<A: Api + Configured>(&self) -> Result<Vec<Unenforced>, StoreError> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.tx.apis::<A>(&after, PAGE)?;
            for api in &page.items {
                found.extend(unenforced(api).map(|setting| Unenforced {
                    api_id: Some(api.id().to_owned()),
                    stage: None,
                    setting,
                }));
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(found),
            }
        }
    }

    fn unenforced_of_stages<S: Part + Configured>(&self) -> Result<Vec<Unenforced>, StoreError> {
        let mut found = Vec::new();
        for (api_id, stage) in self.tx.all_parts::<S>()? {
            found.extend(unenforced(&stage).map(|setting| Unenforced {
                api_id: Some(api_id.clone()),
                stage: Some(stage.id().to_owned()),
                setting,
            }));
        }
        Ok(found)
    }
}
