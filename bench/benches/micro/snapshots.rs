//! Reading of what control publishes.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use turnpike_snapshot::{
    Limits, Protocol, Root, UnitHash, UnitRef, check_unit, decode_root, decode_unit, encode_root, encode_unit,
};

use crate::units;

pub(crate) fn run(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("snapshots");
    for routes in [50, 300] {
        let unit = units::stage("a1b2c3d4e5", Protocol::Http, units::services(routes));
        let (_, bytes) = encode_unit(&unit).expect("a unit");
        assert!(decode_unit(&bytes, &limits).is_ok_and(|decoded| decoded == unit));
        assert!(check_unit(&unit, &limits).is_ok());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("stage of {routes} routes, decoded"), |bencher| {
            bencher.iter(|| decode_unit(black_box(&bytes), &limits).expect("a good unit"));
        });
        group.bench_function(format!("stage of {routes} routes, checked"), |bencher| {
            bencher.iter(|| check_unit(black_box(&unit), &limits).expect("a good unit"));
        });
    }
    let unit = |number: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        UnitRef { hash: UnitHash(hash), bytes_len: 1_000 }
    };
    let root = Root { version: 7, units: (0..2_000).map(unit).collect() };
    let bytes = encode_root(&root).expect("a root");
    assert!(decode_root(&bytes, &limits).is_ok_and(|decoded| decoded == root));
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("root of 2,000 units, decoded", |bencher| {
        bencher.iter(|| decode_root(black_box(&bytes), &limits).expect("a good root"));
    });
    group.finish();
}
