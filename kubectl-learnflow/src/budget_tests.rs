use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::fmt::Write;

const DEV: Shipped = Shipped {
    hours: 24,
    megabytes: 1000,
    production: false,
    wait: 1,
};
const PRODUCTION: Shipped = Shipped {
    hours: 360,
    megabytes: 8000,
    production: true,
    wait: 10,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    budget: String,
    counted: [u64; 3],
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    parts: Option<Vec<String>>,
}

fn load([nodes, pods, topics]: [u64; 3]) -> Load {
    Load { nodes, pods, topics }.with_room()
}

/// As the manifests have them, and one that no budget knows.
fn workloads() -> Vec<Workload> {
    let one = |namespace: &str, name: &str, pods, limit| Workload {
        namespace: namespace.into(),
        name: name.into(),
        pods,
        limit,
        stays: false,
    };
    vec![
        one("agents", AGENT, None, 200),
        one("system", GATEWAY, Some(1), 400),
        one("system", KUBE_STATE_METRICS, Some(1), 96),
        one("system", PROMETHEUS, Some(1), 1024),
        one("system", "another", Some(2), 50),
    ]
}

/// Written anew by `UPDATE_EXPECT=1`.
#[test]
fn cases() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/budget.yaml")).expect("cases");
    let mut page = String::new();
    for case in cases {
        let mut workloads = workloads();
        workloads.retain(|one| match &case.parts {
            None => one.part().is_some(),
            Some(parts) => parts.contains(&one.name),
        });
        let production = case.profile.as_deref() == Some("production");
        let budget = Memory::parse(&case.budget).expect("memory");
        let load = load(case.counted);
        let profile = if production { " (production)" } else { "" };
        writeln!(page, "{}{profile} for {load}", case.budget).expect("text");
        match fit(&budget, load, &workloads, if production { PRODUCTION } else { DEV }) {
            Err(least) => writeln!(page, "  refused, at least {}Mi: {}", total(&least), shown(&least)),
            Ok(fit) => {
                let requests: Vec<String> = fit.sizes.iter().map(|size| size.request.to_string()).collect();
                let (hours, megabytes) = fit.retention;
                writeln!(
                    page,
                    "  limits {}Mi: {}; requests {}\n  {} streams, metrics for {hours}h or {megabytes}MB, {} of the \
                     traces begun\n  quotas: agents {}Mi, system {}Mi",
                    total(&fit.sizes),
                    shown(&fit.sizes),
                    requests.join(", "),
                    fit.streams,
                    fit.begun,
                    fit.quota("agents"),
                    fit.quota("system"),
                )
            }
        }
        .expect("text");
    }
    crate::testing::same_as_file("tests/cases/budget.expected.txt", &page);
}

fn any_fit(mib: u64, load: Load, shipped: Shipped) -> Result<Fit, Vec<Size>> {
    fit(
        &Memory::parse(&format!("{mib}Mi")).expect("memory"),
        load,
        &workloads(),
        shipped,
    )
}

fn any_load() -> impl Strategy<Value = Load> {
    (0u64..200, 0u64..20_000, 0u64..5_000).prop_map(|(nodes, pods, topics)| load([nodes, pods, topics]))
}

proptest! {
    #[test]
    fn never_more_than_the_budget_and_never_less_than_the_least(mib in 1u64..200_000, load in any_load(), production: bool) {
        let shipped = if production { PRODUCTION } else { DEV };
        match any_fit(mib, load, shipped) {
            Err(least) => {
                prop_assert!(total(&least) > mib, "refused for nothing");
                // The figure that is named is the smallest budget there is.
                prop_assert!(any_fit(total(&least), load, shipped).is_ok());
                prop_assert!(any_fit(total(&least) - 1, load, shipped).is_err());
            }
            Ok(fit) => {
                prop_assert!(total(&fit.sizes) <= mib);
                prop_assert_eq!(fit.quota("agents") + fit.quota("system"), mib);
                for (size, workload) in fit.sizes.iter().zip(workloads()) {
                    prop_assert!(size.limit >= workload.least(&load) && size.limit <= workload.most(&load));
                    prop_assert!(size.request <= size.limit && size.request > 0);
                    let (refuses, spike) = size.limiter();
                    prop_assert!(spike < refuses && refuses < size.go() && size.go() < size.limit);
                }
                prop_assert!(fit.streams >= load.streams());
                // What the gateway and Prometheus let in, they can bear.
                let room = |name: &str, share: f64| fit.size(name).map_or(0.0, |size| size.limit as f64 * share);
                prop_assert!(gateway(fit.streams) <= room(GATEWAY, LIMITER) + 1.0);
                prop_assert!(prometheus(&load, fit.streams) <= room(PROMETHEUS, GO) + 1.0);
                let (hours, megabytes) = fit.retention;
                prop_assert!(hours >= 2 && hours <= shipped.hours && megabytes <= shipped.megabytes);
            }
        }
    }

    #[test]
    fn more_budget_gives_nothing_less(mib in 1u64..50_000, more in 1u64..5_000, load in any_load()) {
        let Ok(small) = any_fit(mib, load, DEV) else { return Ok(()) };
        let large = any_fit(mib + more, load, DEV).expect("more is enough as well");
        for (small, large) in small.sizes.iter().zip(&large.sizes) {
            prop_assert!(small.limit <= large.limit);
        }
        prop_assert!(small.streams <= large.streams && small.retention <= large.retention);
        prop_assert!(small.begun.value() <= large.begun.value());
    }

    #[test]
    fn more_to_look_after_needs_no_less(one in any_load(), other in any_load()) {
        let both = Load {
            nodes: one.nodes.max(other.nodes),
            pods: one.pods.max(other.pods),
            topics: one.topics.max(other.topics),
        };
        let least = |load: Load| any_fit(1, load, DEV).map_or_else(|least| total(&least), |_| 0);
        prop_assert!(least(both) >= least(one).max(least(other)));
    }

    #[test]
    fn steps_leave_room_and_are_few(count in 0u64..1_000_000) {
        let stepped = step(count, 10);
        prop_assert!(stepped >= count + count / 5 && stepped >= 10);
        prop_assert!(stepped <= (3 * count).max(10), "{count} is {stepped}");
        prop_assert_eq!(step(stepped / 2, 10) <= stepped, true);
    }
}

#[test]
fn what_no_budget_knows_stays_as_it_is() {
    let fit = any_fit(4096, load([1, 3, 1]), DEV).expect("enough");
    let another = fit.size("another").expect("it is there");
    assert_eq!((another.limit, another.total(), another.chosen()), (50, 100, None));
}

#[test]
fn without_a_budget_the_manifests_have_what_a_large_one_gives() {
    let fit = any_fit(65_536, load([1, 3, 1]), DEV).expect("enough");
    let size = |name: &str| fit.size(name).expect("it is there").clone();
    assert_eq!(size(AGENT).limit, 200);
    assert_eq!(size(AGENT).limiter(), (140, 30));
    assert_eq!(size(AGENT).go(), 150);
    assert_eq!(size(AGENT).queue(), 200_000);
    assert_eq!(
        (size(GATEWAY).limit, size(GATEWAY).limiter(), size(GATEWAY).go()),
        (400, (280, 60), 300)
    );
    assert_eq!(size(PROMETHEUS).limit, 1024);
    // Sidecars take a little of what a flood has in the manifests.
    assert!((1350..=1500).contains(&fit.streams), "{}", fit.streams);
    assert_eq!(fit.retention, (24, 1000));
    assert_eq!(fit.begun, Share::ALL);
}
