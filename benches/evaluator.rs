//! What one `_has_privileges` question of 20 atoms costs the embedded authority, and what compiling the roles costs.
//!
//! The aim: at most 30 µs per question, and the same for 1 role as for 300, for 10 index patterns as for 1000.
//! Run with `cargo bench --bench evaluator`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sidegate::authority::access::Permissions;
use sidegate::authority::access::application::ApplicationCatalogue;
use sidegate::wire::privileges::{ApplicationQuestion, HasPrivilegesRequest, IndexQuestion};
use sidegate::wire::roles::{ApplicationPrivileges, IndexPrivileges, RoleDescriptor};

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn catalogue() -> ApplicationCatalogue {
    let mut catalogue = ApplicationCatalogue::default();
    for feature in ["orders", "stock", "prices", "users", "reports"] {
        for verb in ["read", "write"] {
            let actions = vec![
                format!("data:{feature}/{verb}/*"),
                format!("ui:{feature}"),
                "action:login".into(),
            ];
            catalogue.insert("shop", &format!("{feature}_{verb}"), actions);
        }
    }
    catalogue
}

/// `count` different roles that hold `patterns` index patterns together.
fn roles(count: usize, patterns: usize) -> Vec<RoleDescriptor> {
    let privileges = [
        "read",
        "write",
        "monitor",
        "manage",
        "view_index_metadata",
        "create_doc",
    ];
    let features = [
        "orders_read",
        "orders_write",
        "stock_read",
        "prices_read",
        "users_read",
    ];
    (0..count)
        .map(|number| {
            let names = (0..patterns)
                .filter(|pattern| pattern % count == number)
                .map(|pattern| match pattern % 3 {
                    0 => format!("logs-team{pattern}-*"),
                    1 => format!("metrics-service{pattern}.prod"),
                    _ => format!("traces-app{pattern}*"),
                });
            let names: Vec<String> = names.chain([format!("own-{number}")]).collect();
            let index = IndexPrivileges {
                names,
                privileges: vec![
                    privileges[number % privileges.len()].into(),
                    privileges[number / 6 % privileges.len()].into(),
                ],
                ..IndexPrivileges::default()
            };
            let application = ApplicationPrivileges {
                application: "shop".into(),
                privileges: vec![features[number % features.len()].into()],
                resources: vec![format!("space:{number}"), format!("team:{number}:*")],
            };
            RoleDescriptor {
                cluster: strings([["monitor", "manage_ilm", "manage_own_api_key"][number % 3]]),
                indices: vec![index],
                applications: vec![application],
                ..RoleDescriptor::default()
            }
        })
        .collect()
}

/// 4 cluster, 8 index and 8 application atoms, some granted and some not.
fn question() -> HasPrivilegesRequest {
    HasPrivilegesRequest {
        cluster: strings(["monitor", "manage_ilm", "manage_security", "all"]),
        index: vec![
            IndexQuestion {
                names: strings([
                    "logs-team0-2026.01",
                    "logs-team3-*",
                    "metrics-service4.prod",
                ]),
                privileges: strings(["read", "write"]),
                allow_restricted_indices: false,
            },
            IndexQuestion {
                names: strings(["logs-*", "*"]),
                privileges: strings(["monitor"]),
                allow_restricted_indices: false,
            },
        ],
        application: vec![ApplicationQuestion {
            application: "shop".into(),
            privileges: strings(["orders_read", "orders_write", "stock_read", "reports_write"]),
            resources: strings(["space:0", "team:0:*"]),
        }],
    }
}

fn evaluate(criterion: &mut Criterion) {
    let catalogue = catalogue();
    let question = question();
    let mut group = criterion.benchmark_group("has_privileges_20_atoms");
    for patterns in [10, 1000] {
        for count in [1, 10, 100, 300] {
            let permissions = Permissions::compile(&roles(count, patterns), &catalogue)
                .expect("the patterns of this bench are simple");
            let id = BenchmarkId::new(format!("{patterns}_patterns"), format!("{count}_roles"));
            group.bench_with_input(id, &permissions, |bencher, permissions| {
                bencher.iter(|| black_box(permissions.has_privileges("joe", black_box(&question))));
            });
        }
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let catalogue = catalogue();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for (count, patterns) in [(1, 10), (300, 10), (300, 1000)] {
        let roles = roles(count, patterns);
        group.bench_function(format!("{count}_roles_{patterns}_patterns"), |bencher| {
            bencher.iter(|| black_box(Permissions::compile(black_box(&roles), &catalogue)));
        });
    }
    group.finish();
}

criterion_group!(benches, evaluate, compile);
criterion_main!(benches);
