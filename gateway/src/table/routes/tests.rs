use super::super::RouteKey;
use super::super::tests::stage_of;
use super::*;

fn compiled(protocol: Protocol, keys: &[&str]) -> (Vec<turnpike_snapshot::Route>, Vec<Route>) {
    let units = stage_of("a1", protocol, "s", keys).routes;
    let route = |unit: &turnpike_snapshot::Route| Route {
        key: RouteKey::new(Route::key_of(&unit.method, &unit.path)),
        path_at: Route::path_at(&unit.method, &unit.path),
        id: unit.id.as_str().into(),
        api_key_required: false,
        compression: None,
        cache: None,
        throttle: None,
        integration: unit.integration,
        shape: 0,
    };
    let routes = units.iter().map(route).collect();
    (units, routes)
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// Up to so many segments, of which the last may be another's.
    fn path(&mut self, segments_max: usize, segments: &[&str], last: &[&str]) -> String {
        let before: String =
            (0..self.below(segments_max)).map(|_| format!("/{}", self.pick(segments))).collect();
        format!("{before}/{}", self.pick(last))
    }
}

const METHODS: [&str; 5] = ["GET", "POST", "ANY", "QUERY", "get"];

/// The variable of a segment is named after its place, so that a path never has one twice.
fn named(path: &str) -> String {
    let segments = path.split('/').enumerate().map(|(at, segment)| segment.replace('?', &format!("v{at}")));
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn all_finders_find_the_same() {
    let mut numbers = Numbers(7);
    let (mut compared, mut found, mut among_few) = (0, 0, 0);
    let fillers: Vec<String> = (0..70).map(|number| format!("GET /filler{number}")).collect();
    while compared < 200_000 {
        let protocol = [Protocol::Rest, Protocol::Http][numbers.below(2)];
        // Either as many as are tried one by one, or have tags; or more.
        let filled = numbers.below(3) == 0;
        let keys: Vec<String> = (0..=numbers.below(12))
            .map(|_| {
                let path =
                    numbers.path(4, &["a", "b", "ab", "{?}"], &["a", "b", "ab", "{?}", "{?}", "{?+}", ""]);
                format!("{} {}", numbers.pick(&METHODS[..4]), named(&path))
            })
            .chain(fillers.iter().filter(|_| filled).cloned())
            .collect();
        let (units, mut routes) = compiled(protocol, &keys.iter().map(String::as_str).collect::<Vec<_>>());
        let Ok(trees) = Trees::compile(protocol, &units) else { continue };
        let Some(index) = Index::compile(protocol, &mut routes) else { continue };
        let few = Few::compile(protocol, &routes);
        for _ in 0..200 {
            let path = numbers.path(5, &["a", "b", "ab", "c", ""], &["a", "b", "ab", "c", ""]);
            let method = numbers.pick(&METHODS);
            let (of_index, of_trees) =
                (index.find(&routes, method, &path), trees.find(&routes, method, &path));
            assert_eq!(of_index, of_trees, "{method} {path} among {keys:?} of {protocol:?}");
            if let Some(few) = &few {
                let of_few = few.find(&routes, method, &path);
                assert_eq!(of_few, of_trees, "{method} {path} among {keys:?} of {protocol:?}");
                among_few += usize::from(of_few.is_some());
            }
            compared += 1;
            found += usize::from(of_index.is_some());
        }
    }
    assert!(found > 10_000 && among_few > 1_000, "{found} and {among_few} of {compared}");
}

#[test]
fn paths_of_more_shapes_than_the_index_takes_are_looked_up_in_trees() {
    // Of five segments each, with variables where a number has ones.
    let key = |number: usize| {
        let segment = |at: usize| match number >> at & 1 {
            0 => format!("/s{at}"),
            _ => format!("/{{v{at}}}"),
        };
        format!("GET {}", (0..5).map(segment).collect::<String>())
    };
    for (shapes, indexed) in [(16, true), (17, false)] {
        let keys: Vec<String> = (0..shapes).map(key).collect();
        let (units, routes) = compiled(Protocol::Rest, &keys.iter().map(String::as_str).collect::<Vec<_>>());
        let routes = Routes::compile(Protocol::Rest, &units, routes).unwrap();
        assert_eq!(matches!(routes.finder, Finder::Index(_)), indexed);
        for (number, key) in keys.iter().enumerate() {
            // Variables of all routes stand for what only this one hasn't fixed.
            let path: String =
                (0..5).map(|at| format!("/{}{at}", if number >> at & 1 == 0 { "s" } else { "x" })).collect();
            assert_eq!(
                routes.look_up("GET", &path).map(|matched| matched.route.key()),
                Some(&**key),
                "{path}"
            );
        }
    }
    let long = format!("GET {}", "/a".repeat(17));
    let (units, routes) = compiled(Protocol::Http, &[&long, "GET /b", "GET /c", "GET /d", "GET /e"]);
    let routes = Routes::compile(Protocol::Http, &units, routes).unwrap();
    assert!(matches!(routes.finder, Finder::Trees(_)));
    assert!(routes.look_up("GET", &"/a".repeat(17)).is_some());
    assert!(routes.look_up("GET", &"/a".repeat(16)).is_none());
}

#[test]
fn variables_have_what_the_request_has_in_their_places() {
    let (units, routes) =
        compiled(Protocol::Rest, &["GET /pets/{id}/toys/{toy}", "GET /files/{bucket}/{path+}"]);
    let routes = Routes::compile(Protocol::Rest, &units, routes).unwrap();
    for (path, values) in [
        ("/pets/5/toys/ball", &[("id", Some("5")), ("toy", Some("ball")), ("path", None), ("", None)][..]),
        ("/pets/5/toys/ball/", &[("toy", Some("ball"))]),
        ("/files/b/x/y/z", &[("bucket", Some("b")), ("path", Some("x/y/z"))]),
        ("/files/b//y/", &[("bucket", Some("b")), ("path", Some("/y/"))]),
    ] {
        let variables = routes.look_up("GET", path).unwrap().variables.unwrap();
        for (name, value) in values {
            assert_eq!(variables.get(name), *value, "{name} of {path}");
        }
    }
}

#[test]
fn a_crowd_of_routes_leaves_each_to_be_found() {
    let keys: Vec<String> = (0..5_000)
        .flat_map(|n| [format!("GET /a/{n}"), format!("ANY /a/{n}"), format!("PUT /{n}/{{x}}")])
        .collect();
    let (units, routes) = compiled(Protocol::Http, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let routes = Routes::compile(Protocol::Http, &units, routes).unwrap();
    for n in 0..5_000 {
        for (method, path, key) in [
            ("GET", format!("/a/{n}"), format!("GET /a/{n}")),
            ("POST", format!("/a/{n}"), format!("ANY /a/{n}")),
            ("PUT", format!("/{n}/7"), format!("PUT /{n}/{{x}}")),
        ] {
            assert_eq!(routes.look_up(method, &path).map(|matched| matched.route.key()), Some(&*key));
        }
        assert!(routes.look_up("GET", &format!("/b/{n}")).is_none());
    }
}
