//! The APIs of a table, by their ids.
//!
//! Of many APIs, nothing is in the core's cache when a request comes. So few lines lead to a stage: tags of the ids, four
//! bytes each, and the place of the API, which is the stage itself where it has only one, as most have. The id is compared
//! with the stage's own, which every request reads.

use std::hash::Hasher as _;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};
use smol_str::SmolStr;
use turnpike_snapshot::Protocol;

use super::{DEFAULT_STAGE, Stage};

#[derive(Debug, Default)]
pub(super) struct Apis {
    /// 0 where there is none. As many as places: a power of two, of which half is free, or none.
    tags: Box<[u32]>,
    places: Box<[Option<Api>]>,
}

/// An id, and where it is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought<'h> {
    id: &'h str,
    hash: u64,
}

#[derive(Debug)]
pub(super) enum Api {
    One(Arc<Stage>),
    Several(Box<Stages>),
}

/// Two or more, of one protocol.
#[derive(Debug)]
pub(super) struct Stages {
    api_id: SmolStr,
    protocol: Protocol,
    /// `$default`
    default: Option<Arc<Stage>>,
    others: FxHashMap<SmolStr, Arc<Stage>>,
}

impl Apis {
    /// With room for the APIs of so many stages.
    pub(super) fn with_room(stages: usize) -> Self {
        let places = (2 * stages.max(1)).next_power_of_two();
        Self { tags: vec![0; places].into(), places: (0..places).map(|_| None).collect() }
    }

    /// Has the core fetch what [`approach`](Self::approach) reads.
    pub(super) fn expect<'h>(&self, id: &'h str) -> Sought<'h> {
        let sought = Sought { id, hash: hash(id) };
        if !self.tags.is_empty() {
            let at = self.first(sought.hash);
            turnpike_rt::prefetch(&self.tags[at]);
            turnpike_rt::prefetch(&self.places[at]);
        }
        sought
    }

    /// Most probably the API that is sought; has the core fetch its stage, if it has only one.
    pub(super) fn approach<'t>(&'t self, sought: Sought<'_>) -> Option<&'t Api> {
        let api = self.with_tag(sought.hash).next()?;
        if let Api::One(stage) = api {
            stage.fetch();
        }
        Some(api)
    }

    /// What was sought, and approached before.
    pub(super) fn get<'t>(&'t self, sought: Sought<'_>, approached: Option<&'t Api>) -> Option<&'t Api> {
        approached
            .filter(|api| api.id() == sought.id)
            .or_else(|| self.with_tag(sought.hash).find(|api| api.id() == sought.id))
    }

    /// Hardly ever more than one.
    fn with_tag(&self, hash: u64) -> impl Iterator<Item = &Api> {
        let tag = tag(hash);
        let mut at = if self.tags.is_empty() { None } else { Some(self.first(hash)) };
        std::iter::from_fn(move || {
            loop {
                let here = at.filter(|at| self.tags[*at] != 0)?;
                at = Some(self.next(here));
                if self.tags[here] == tag {
                    return self.places[here].as_ref();
                }
            }
        })
    }

    /// The place of an API, which may be free yet; there is room for all.
    pub(super) fn place(&mut self, id: &str) -> &mut Option<Api> {
        let hash = hash(id);
        let (tag, mut at) = (tag(hash), self.first(hash));
        while self.places[at].as_ref().is_some_and(|api| api.id() != id) {
            at = self.next(at);
        }
        self.tags[at] = tag;
        &mut self.places[at]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Api> {
        self.places.iter().flatten()
    }

    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.tags.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.tags.len() - 1)
    }
}

impl Api {
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::One(stage) => stage.protocol,
            Self::Several(stages) => stages.protocol,
        }
    }

    pub(super) fn stage(&self, name: &str) -> Option<&Arc<Stage>> {
        match self {
            Self::One(stage) => Some(stage).filter(|stage| stage.name == name),
            Self::Several(stages) if name == DEFAULT_STAGE => stages.default.as_ref(),
            Self::Several(stages) => stages.others.get(name),
        }
    }

    pub(super) fn default_stage(&self) -> Option<&Arc<Stage>> {
        match self {
            Self::One(stage) => Some(stage).filter(|stage| stage.is_default),
            Self::Several(stages) => stages.default.as_ref(),
        }
    }

    /// Whether no stage is named in paths.
    pub(super) fn has_default_alone(&self) -> bool {
        matches!(self, Self::One(stage) if stage.is_default)
    }

    pub(super) fn stages(&self) -> impl Iterator<Item = &Arc<Stage>> {
        let (one, several) = match self {
            Self::One(stage) => (Some(stage), None),
            Self::Several(stages) => (stages.default.as_ref(), Some(stages.others.values())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    /// False if there is a stage of this name already.
    pub(super) fn add(&mut self, stage: &Arc<Stage>) -> bool {
        if self.stage(&stage.name).is_some() {
            return false;
        }
        if let Self::One(first) = self {
            let mut stages = Stages {
                api_id: first.api_id.clone(),
                protocol: first.protocol,
                default: None,
                others: FxHashMap::default(),
            };
            stages.add(Arc::clone(first));
            *self = Self::Several(Box::new(stages));
        }
        if let Self::Several(stages) = self {
            stages.add(Arc::clone(stage));
        }
        true
    }

    fn id(&self) -> &str {
        match self {
            Self::One(stage) => &stage.api_id,
            Self::Several(stages) => &stages.api_id,
        }
    }
}

impl Stages {
    fn add(&mut self, stage: Arc<Stage>) {
        if stage.is_default {
            self.default = Some(stage);
        } else {
            self.others.insert(stage.name.clone(), stage);
        }
    }
}

/// Ids are the operator's, so hashing needn't withstand chosen ones.
fn hash(id: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(id.as_bytes());
    hasher.finish()
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, stage, table};
    use super::*;

    fn get<'t>(apis: &'t Apis, id: &str) -> Option<&'t Api> {
        let sought = apis.expect(id);
        apis.get(sought, apis.approach(sought))
    }

    #[test]
    fn each_of_many_is_found_and_no_other() {
        let ids: Vec<String> = (0..300).map(|number| format!("api{number:x}")).collect();
        let names = ["$default", "prod"];
        let mut units = vec![account(vec![])];
        for (number, id) in ids.iter().enumerate() {
            let own = &names[..=usize::from(number % 3 == 0)];
            units.extend(own.iter().map(|name| stage(id, Protocol::Http, name, &["GET /"])));
        }
        let table = table(units);
        for (number, id) in ids.iter().enumerate() {
            let api = get(&table.apis, id).unwrap();
            assert_eq!(api.stages().count(), if number % 3 == 0 { 2 } else { 1 });
            assert!(api.stages().all(|stage| stage.api_id == *id));
            assert_eq!((api.default_stage().is_some(), api.has_default_alone()), (true, number % 3 != 0));
            assert_eq!(api.stage("prod").is_some(), number % 3 == 0);
            assert!(get(&table.apis, &format!("{id}x")).is_none());
        }
        assert_eq!(table.apis.iter().count(), ids.len());
        for none in [Apis::default(), Apis::with_room(0)] {
            assert!(get(&none, "a").is_none());
        }
    }
}
