//! kill -9 at any moment: nothing acknowledged is lost, and there is no half change.
//!
//! Several callers change a server that is killed at random. Each caller knows what it was told: the last value that it
//! was acknowledged, the one that was on its way, which APIs were made and which deleted. After each kill, the store
//! is looked at without a server, and then the server is started on it again. The whole run of the figure (10,000
//! writes, 50 kills) is `cargo test --release -p turnpike-control --test suite -- --ignored kill_9`; both run on
//! PostgreSQL with `TURNPIKE_TEST_STORE=postgres`, and with another seed with `TURNPIKE_TEST_SEED=N`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use turnpike_control::model::{HttpApi, HttpIntegration, HttpStage};
use turnpike_control::store::{Store, StoreError};
use turnpike_snapshot::{Limits, StageUnit, Unit, check_snapshot, decode_root, decode_unit};

use crate::support::client::{Answer, Client};
use crate::support::process::Control;
use crate::support::stores::settings_of;

const CALLERS: usize = 4;
const SEED: u64 = 0x7475_726e_7069_6b65;
/// A kill comes up to this long after the write that it waits for: in the middle of another one.
const DELAY_US_MAX: u64 = 4_000;

#[test]
fn kill_9_loses_nothing_acknowledged() {
    Run::new().kills(4, 100);
}

#[test]
#[ignore = "takes minutes: the figure of 10,000 writes and 50 kills"]
fn kill_9_fifty_times_in_ten_thousand_writes() {
    Run::new().kills(50, 10_000);
}

struct Run {
    _dir: tempfile::TempDir,
    data_dir: std::path::PathBuf,
    random: Random,
    callers: Vec<Caller>,
}

/// What one caller was told.
#[derive(Debug, Default)]
struct Caller {
    /// The API whose target it changes, and the values that it may have now.
    counter: Option<(String, BTreeSet<u16>)>,
    /// Whether each API is there; `None` if that isn't known.
    apis: BTreeMap<String, Option<bool>>,
    writes: usize,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let given = std::env::var("TURNPIKE_TEST_SEED").ok();
        let seed = given.map_or(SEED, |seed| seed.parse().expect("TURNPIKE_TEST_SEED is a number"));
        println!("TURNPIKE_TEST_SEED={seed}");
        let callers = (0..CALLERS).map(|_| Caller::default()).collect();
        Self { data_dir: dir.path().join("data"), _dir: dir, random: Random(seed), callers }
    }

    /// So many writes in all; how many of them come before which kill is random.
    fn kills(mut self, kills: usize, writes: usize) {
        for kill in 0..kills {
            let left = writes.saturating_sub(self.written()).max(1);
            let acknowledged = match kills - kill {
                1 => left,
                kills_left => 1 + self.random.below((2 * left / kills_left) as u64) as usize,
            };
            self.write_and_kill(acknowledged);
            self.check(kill);
        }
        println!("{} writes were acknowledged, {kills} kills", self.written());
    }

    fn written(&self) -> usize {
        self.callers.iter().map(|caller| caller.writes).sum()
    }

    /// Kills the server at a random moment after so many acknowledged writes.
    fn write_and_kill(&mut self, acknowledged: usize) {
        let mut control = Control::start(&["serve", "--apis-max", "100000"], &self.data_dir);
        let client = control.client();
        let delay = Duration::from_micros(self.random.below(DELAY_US_MAX));
        let seeds: Vec<u64> = self.callers.iter().map(|_| self.random.next()).collect();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            for (caller, seed) in self.callers.iter_mut().zip(seeds) {
                let (client, tell) = (client.clone(), tell.clone());
                scope.spawn(move || {
                    while caller.write(&client, &mut Random(seed)).is_some() {
                        caller.writes += 1;
                        tell.send(()).expect("the test listens");
                    }
                });
            }
            assert_eq!(told.iter().take(acknowledged).count(), acknowledged);
            std::thread::sleep(delay);
            control.signal(Signal::KILL);
        });
        control.wait();
    }

    /// Compares the store with what the callers were told, which is then what it holds.
    fn check(&mut self, kill: usize) {
        let found = Found::of(&self.data_dir);
        for caller in &mut self.callers {
            if let Some((api, values)) = &mut caller.counter {
                let value = found.apis.get(api).copied().flatten();
                let value = value.unwrap_or_else(|| panic!("kill {kill}: the counter {api} is lost"));
                assert!(values.contains(&value), "kill {kill}: {api} has {value}, and may have {values:?}");
                *values = [value].into();
            }
            for (api, known) in &mut caller.apis {
                let there = found.apis.contains_key(api);
                assert_eq!(known.unwrap_or(there), there, "kill {kill}: {api}");
                *known = Some(there);
            }
            caller.apis.retain(|_, known| *known == Some(true));
        }
    }
}

impl Caller {
    /// One call, and what came of it; `None` once the server is gone.
    fn write(&mut self, client: &Client, random: &mut Random) -> Option<()> {
        let Some((api, values)) = &mut self.counter else {
            let api = create(client)?.text("apiId");
            self.counter = Some((api, [0].into()));
            return Some(());
        };
        match random.below(4) {
            0 => {
                let api = create(client)?.text("apiId");
                self.apis.insert(api, Some(true));
            }
            1 if self.apis.values().any(|known| *known == Some(true)) => {
                let mut there = self.apis.iter_mut().filter(|(_, known)| **known == Some(true));
                let (api, known) = there.next().expect("there is one");
                *known = None;
                answered(client, 204, "DELETE", &format!("/v2/apis/{api}"), "")?;
                *known = Some(false);
            }
            _ => {
                let value = 1 + random.below(u64::from(u16::MAX)) as u16;
                values.insert(value);
                let body = json!({ "description": value.to_string(), "target": target(value) });
                answered(client, 200, "PATCH", &format!("/v2/apis/{api}"), &body.to_string())?;
                *values = [value].into();
            }
        }
        Some(())
    }
}

fn create(client: &Client) -> Option<Answer> {
    let body = json!({ "name": "a", "protocolType": "HTTP", "description": "0", "target": target(0) });
    answered(client, 201, "POST", "/v2/apis", &body.to_string())
}

/// Of the same value in the API's document, its integration's and its compiled stage.
fn target(value: u16) -> String {
    format!("http://127.0.0.1:3000/{value}")
}

fn answered(client: &Client, status: u16, method: &str, path: &str, body: &str) -> Option<Answer> {
    let answer = client.try_call(method, path, body).ok()?;
    assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
    Some(answer)
}

/// What a store holds, which has to be whole.
struct Found {
    /// The value of each API.
    apis: BTreeMap<String, Option<u16>>,
}

impl Found {
    fn of(data_dir: &Path) -> Self {
        let store = Store::open(data_dir, &settings_of(data_dir)).expect("the store survived");
        let stages = published_stages(&store);
        let read = store.read::<_, StoreError>(|tx| {
            let mut found = Vec::new();
            for api in tx.apis::<HttpApi>("", 100_000)?.items {
                let stage: Option<HttpStage> = tx.part(&api.id, "$default")?;
                let integrations: Vec<HttpIntegration> = tx.parts(&api.id)?;
                found.push((api, stage, integrations));
            }
            Ok(found)
        });
        let read = read.expect("readable");
        assert_eq!(read.len(), stages.len(), "every API is published, and nothing else");
        let apis = read.into_iter().map(|(api, stage, integrations)| {
            let stage = stage.expect("an API is stored with its stage");
            let unit = stages.iter().find(|unit| unit.api_id == api.id).expect("and published with it");
            assert_eq!(Some(&unit.deployment_id), stage.deployment_id.as_ref());
            let value: u16 = api.description.as_deref().and_then(|text| text.parse().ok()).expect("a value");
            let [integration] = &integrations[..] else { panic!("{integrations:?}") };
            assert_eq!(
                integration.uri.as_ref().map(ToString::to_string),
                Some(target(value)),
                "half a change"
            );
            let [compiled] = &unit.integrations[..] else { panic!("{unit:?}") };
            let path = &compiled.kind.proxy().expect("a proxy").target;
            assert!(format!("{path:?}").contains(&format!("\"/{value}")), "half a change: {path:?}, {value}");
            (api.id, Some(value))
        });
        Self { apis: apis.collect() }
    }
}

fn published_stages(store: &Store) -> Vec<StageUnit> {
    let root = store.root().expect("readable").expect("published");
    let root = decode_root(&root, &Limits::default()).expect("a valid root");
    let read = |unit: &turnpike_snapshot::UnitRef| {
        let bytes = store.unit(unit.hash).expect("readable").expect("a listed unit is kept");
        decode_unit(&bytes, &Limits::default()).expect("a valid unit")
    };
    let units: Vec<Unit> = root.units.iter().map(read).collect();
    check_snapshot(root.version, &units).expect("units that fit together");
    let stage = |unit| match unit {
        Unit::Stage(stage) => Some(stage),
        _ => None,
    };
    units.into_iter().filter_map(stage).collect()
}

/// xorshift64*: the same moments for the same seed, as far as the system lets them be.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
