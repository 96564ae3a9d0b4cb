//! Properties of the codec over generated configurations: round trips, equal bytes for equal values, and
//! damage behind a right checksum, where only rkyv's checked access and the checks of meaning stand.

mod sample;

use proptest::prelude::*;
use turnpike_snapshot::{
    AccountUnit, Canary, Compression, Domain, ENVELOPE_BYTES, Freshness, HttpProxy, Integration,
    IntegrationKind, Limits, Mapping, Partition, Protocol, Root, Route, RouteSettings, StageCache, StageUnit,
    TargetPart, Throttle, Unit, UnitHash, UnitRef, check_root, check_unit, decode_root, decode_unit,
    encode_root, encode_unit,
};

fn target() -> impl Strategy<Value = Vec<TargetPart>> {
    let part = prop_oneof!["[!-\"$->@-~]{0,12}".prop_map(TargetPart::Literal), Just(TargetPart::RequestPath)];
    let first = prop_oneof!["/[a-z%0-9]{0,40}".prop_map(TargetPart::Literal), Just(TargetPart::RequestPath)];
    (first, prop::collection::vec(part, 0..4)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

prop_compose! {
    fn integration()(
        id in "[!-~]{1,20}",
        timeout_ms in 1_u32..=900_000,
        method in prop::option::of("[A-Z]{4,10}"),
        host in prop_oneof!["[a-zA-Z0-9.-]{1,60}", Just("2001:db8::7".to_owned())],
        port in 1_u16..,
        target in target(),
        query in "[!-\"$-~]{0,30}",
    ) -> Integration {
        let proxy = HttpProxy { method, query, ..HttpProxy::plain(&host, port, target) };
        Integration { id, timeout_ms, kind: IntegrationKind::HttpProxy(proxy) }
    }
}

prop_compose! {
    fn throttle()(
        requests_per_1000_s in 0..=1_000_000_000_000_u64,
        burst_requests: u32,
        partition in prop::sample::select(vec![Partition::Unsaid, Partition::Share, Partition::Closed, Partition::Open]),
    ) -> Throttle {
        Throttle { requests_per_1000_s, burst_requests, partition }
    }
}

prop_compose! {
    fn settings()(api_key_required: bool, throttle in prop::option::of(throttle())) -> RouteSettings {
        RouteSettings { api_key_required, throttle, cache: None }
    }
}

prop_compose! {
    fn routes(integrations_len: u32)(
        paths in prop::collection::btree_set("(/[a-zé0-9._-]{1,9}){0,3}(/\\{v\\+?\\})?", 0..20),
        integration in 0..integrations_len,
        method in "[A-Z]{1,9}",
        settings in settings(),
    ) -> Vec<Route> {
        let path = |path: String| if path.is_empty() { "/".to_owned() } else { path };
        let route = |(index, text)| Route {
            method: method.clone(),
            path: path(text),
            id: format!("r{index}"),
            integration,
            settings: settings.clone(),
        };
        paths.into_iter().enumerate().map(route).collect()
    }
}

prop_compose! {
    /// With their routes.
    fn integrations()(integrations in prop::collection::vec(integration(), 1..5))(
        routes in routes(u32::try_from(integrations.len()).unwrap()),
        integrations in Just(integrations),
    ) -> (Vec<Integration>, Vec<Route>) {
        (integrations, routes)
    }
}

prop_compose! {
    fn cache()(bytes_max in 1_u64.., flushed_before: u32, since: u32, coalesced: bool) -> StageCache {
        let flushed_before = u64::from(flushed_before);
        let generation = flushed_before + u64::from(since);
        StageCache { bytes_max, generation, flushed_before, purges: Vec::new(), freshness: Freshness::Route, coalesced }
    }
}

prop_compose! {
    fn canary()(
        clients_per_10_000 in 0..=10_000_u16,
        shares_cache: bool,
        (integrations, routes) in integrations(),
        bytes_min in prop::option::of(0..=10_485_760_u32),
    ) -> Canary {
        Canary {
            clients_per_10_000,
            shares_cache,
            deployment_id: "d2".to_owned(),
            integrations,
            routes,
            compression: bytes_min.map(|bytes_min| Compression { bytes_min }),
        }
    }
}

prop_compose! {
    fn stage()(
        (integrations, routes) in integrations(),
        (mut canary, cache) in (prop::option::of(canary()), prop::option::of(cache())),
        api_id in "[a-z0-9]{1,12}",
        rest in any::<bool>(),
        stage in "[A-Za-z0-9_-]{1,20}",
        execute_api_endpoint_disabled in any::<bool>(),
        bytes_min in prop::option::of(0..=10_485_760_u32),
    ) -> Unit {
        canary.iter_mut().for_each(|canary| canary.shares_cache &= cache.is_some());
        Unit::Stage(StageUnit {
            api_id,
            protocol: if rest { Protocol::Rest } else { Protocol::Http },
            stage,
            deployment_id: "d".to_owned(),
            execute_api_endpoint_disabled,
            access_log: None,
            integrations,
            routes,
            canary,
            cache,
            compression: bytes_min.map(|bytes_min| Compression { bytes_min }),
        })
    }
}

prop_compose! {
    fn account()(
        account_id in "[0-9]{12}",
        names in prop::collection::btree_set("[a-z]{1,9}\\.example", 0..5),
        keys in prop::collection::btree_set("([a-z!~]{1,5}(/[A-Z]{1,5}){0,2})?", 0..5),
        throttle in prop::option::of(throttle()),
    ) -> Unit {
        let mappings: Vec<_> = keys
            .into_iter()
            .map(|key| Mapping { key, api_id: "a1".to_owned(), stage: "$default".to_owned() })
            .collect();
        let domain = |name| Domain { name, rules: Vec::new(), mappings: mappings.clone(), tls: None };
        Unit::Account(AccountUnit {
            domains: names.into_iter().map(domain).collect(),
            throttle,
            ..AccountUnit::plain(&account_id, "eu-west-1", "localhost")
        })
    }
}

fn unit() -> impl Strategy<Value = Unit> {
    let sampled = prop::sample::select(sample::units());
    prop_oneof![4 => stage(), 1 => account(), 1 => sampled]
}

fn root() -> impl Strategy<Value = Root> {
    let units = prop::collection::btree_map(any::<[u8; 32]>(), 32_u32..1 << 20, 0..50);
    (1_u64.., units).prop_map(|(version, units)| Root {
        version,
        units: units
            .into_iter()
            .map(|(hash, bytes_len)| UnitRef { hash: UnitHash(hash), bytes_len })
            .collect(),
    })
}

/// As builds before wrote them.
#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn units_of_formats_before() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/unit");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let before = files.filter(|file| file.file_name().to_str().unwrap().starts_with("good-format-"));
    before.map(|file| std::fs::read(file.path()).unwrap()).collect()
}

/// Makes the checksum right again.
fn reseal(bytes: &mut [u8]) {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..28]);
    checksum.update(&bytes[ENVELOPE_BYTES..]);
    bytes[28..32].copy_from_slice(&checksum.finalize().to_le_bytes());
}

/// Overwrites, anywhere in the archive, some bytes with ones that pointers and lengths are made of.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte = prop_oneof![Just(0_u8), Just(0xff), Just(0x7f), Just(0x80), Just(1), any::<u8>()];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 1..6)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in damage {
        let archive = &mut bytes[ENVELOPE_BYTES..];
        let at = at.index(archive.len());
        archive[at] = *byte;
    }
    reseal(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn units_come_back_and_equal_ones_have_equal_bytes(unit in unit()) {
        let (name, bytes) = encode_unit(&unit).unwrap();
        let back = decode_unit(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(&back, &unit);
        prop_assert_eq!(encode_unit(&back).unwrap(), (name, bytes));
    }

    #[test]
    fn roots_come_back_and_equal_ones_have_equal_bytes(root in root()) {
        let bytes = encode_root(&root).unwrap();
        let back = decode_root(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(&back, &root);
        prop_assert_eq!(encode_root(&back).unwrap(), bytes);
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(decode_unit(&bytes, &Limits::default()).is_err());
        prop_assert!(decode_root(&bytes, &Limits::default()).is_err());
    }

    #[test]
    fn a_flipped_byte_or_a_cut_is_refused(unit in unit(), at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = encode_unit(&unit).unwrap().1;
        let at = at.index(bytes.len());
        prop_assert!(decode_unit(&bytes[..at], &Limits::default()).is_err());
        bytes[at] ^= flip;
        prop_assert!(decode_unit(&bytes, &Limits::default()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn damage_behind_a_right_checksum_is_refused_or_servable(unit in unit(), damage in damage()) {
        let bytes = damaged(encode_unit(&unit).unwrap().1, &damage);
        if let Ok(unit) = decode_unit(&bytes, &Limits::default()) {
            prop_assert_eq!(check_unit(&unit, &Limits::default()), Ok(()));
        }
    }

    #[test]
    fn damage_of_formats_before_is_refused_or_servable(
        bytes in prop::sample::select(units_of_formats_before()),
        damage in damage(),
    ) {
        if let Ok(unit) = decode_unit(&damaged(bytes, &damage), &Limits::default()) {
            prop_assert_eq!(check_unit(&unit, &Limits::default()), Ok(()));
        }
    }

    #[test]
    fn a_damaged_root_behind_a_right_checksum_is_refused_or_servable(root in root(), damage in damage()) {
        let bytes = damaged(encode_root(&root).unwrap(), &damage);
        if let Ok(root) = decode_root(&bytes, &Limits::default()) {
            prop_assert_eq!(check_root(&root, &Limits::default()), Ok(()));
        }
    }

    #[test]
    fn random_archives_behind_a_right_checksum_never_panic(archive in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut bytes) = encode_unit(&sample::units()[0]).unwrap();
        bytes.truncate(ENVELOPE_BYTES);
        bytes[12..16].copy_from_slice(&u32::try_from(archive.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&archive);
        reseal(&mut bytes);
        let _ = decode_unit(&bytes, &Limits::default());
        bytes[10] = b'R';
        reseal(&mut bytes);
        let _ = decode_root(&bytes, &Limits::default());
    }
}
