//! Other ways from the gateway to Prometheus that were tried, so that a killed gateway would lose nothing. docs/observability.md
//! says what came of them. Not a test that passes or fails: it prints.
//!
//! `cargo test -p learnflow-tests --test stack -- --ignored --nocapture tries`

use std::time::Duration;

use crate::{
    faults::{FAULTS, HEAD, Way, run},
    shipped::replace,
};

const OF_INTEREST: &[(&str, u64)] = &[
    ("none", 1),
    ("gateway killed", 5),
    ("Prometheus killed", 3),
    ("Prometheus killed and away", 1),
    ("agent killed", 5),
];
const A_WHILE: Duration = Duration::from_secs(20);

/// Straight through: a record is acknowledged when Prometheus has taken it.
fn pushed(config: String, prometheus: u16, retry: &str, deltas: bool) -> String {
    let exporter = format!(
        "otlp_http:\n    metrics_endpoint: http://127.0.0.1:{prometheus}/api/v1/otlp/v1/metrics\n    \
         sending_queue: {{enabled: false}}\n    retry_on_failure: {retry}\n  prometheus:\n    endpoint"
    );
    let config = replace(
        &config,
        &[
            (", transform/records, batch/records]", ", transform/records]".into()),
            ("prometheus:\n    endpoint", exporter),
            ("exporters: [prometheus]", "exporters: [otlp_http]".into()),
        ],
    );
    if !deltas {
        return config;
    }
    replace(
        &config,
        &[
            (
                "[transform/start, deltatocumulative/totals]",
                "[transform/start]".into(),
            ),
            (
                "[transform/start, deltatocumulative/topics]",
                "[transform/start]".into(),
            ),
        ],
    )
}

const WAYS: &[(&str, Way)] = &[
    (
        "scraped each 5 s, as shipped",
        Way {
            agent: None,
            gateway: None,
            flags: &[],
            prometheus: None,
            more_agents: 0,
        },
    ),
    (
        "scraped each second",
        Way {
            agent: None,
            gateway: None,
            flags: &[],
            prometheus: Some(|config| {
                let jobs = config["scrape_configs"].as_array_mut().expect("jobs");
                for job in jobs.iter_mut().filter(|job| job["job_name"] == "learnflow") {
                    job["scrape_interval"] = "1s".into();
                    job["scrape_timeout"] = "1s".into();
                }
            }),
            more_agents: 0,
        },
    ),
    (
        "scraped each 5 s, three agents",
        Way {
            agent: None,
            gateway: None,
            flags: &[],
            prometheus: None,
            more_agents: 2,
        },
    ),
    (
        "deltas pushed",
        Way {
            agent: None,
            gateway: Some(|config, port| pushed(config, port, "{enabled: false}", true)),
            flags: PUSHED_DELTAS,
            prometheus: None,
            more_agents: 0,
        },
    ),
    (
        "deltas pushed, three agents",
        Way {
            agent: None,
            gateway: Some(|config, port| pushed(config, port, "{enabled: false}", true)),
            flags: PUSHED_DELTAS,
            prometheus: None,
            more_agents: 2,
        },
    ),
    (
        "sums pushed",
        Way {
            agent: Some(without_timeout),
            gateway: Some(|config, port| pushed(config, port, FOR_EVER, false)),
            flags: PUSHED,
            prometheus: None,
            more_agents: 0,
        },
    ),
    (
        "sums pushed, three agents",
        Way {
            agent: Some(without_timeout),
            gateway: Some(|config, port| pushed(config, port, FOR_EVER, false)),
            flags: PUSHED,
            prometheus: None,
            more_agents: 2,
        },
    ),
];

const PUSHED: &[&str] = &["--web.enable-otlp-receiver"];
const PUSHED_DELTAS: &[&str] = &["--web.enable-otlp-receiver", "--enable-feature=otlp-deltatocumulative"];
const FOR_EVER: &str = "{enabled: true, initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}";

/// It waits for as long as the gateway does.
fn without_timeout(config: String) -> String {
    replace(&config, &[("otlp_grpc:\n", "otlp_grpc:\n    timeout: 0s\n".into())])
}

#[test]
#[ignore = "prints figures, which takes minutes"]
fn tries() {
    // One of them alone, by a part of its name.
    let only = std::env::var("WAY").unwrap_or_default();
    for (name, way) in WAYS.iter().filter(|(name, _)| name.contains(&only)) {
        println!("\n{name}\n{HEAD}");
        for (fault, times) in OF_INTEREST {
            let fault = FAULTS.iter().find(|known| known.name == *fault).expect("a fault");
            let row = run(fault, way, *times, A_WHILE);
            println!("{row}");
            if fault.name == "none" {
                let each = row.spent.as_secs_f64() * 1e6 / row.logged as f64;
                println!("gateway and Prometheus: {each:.0} ms of a core for 1,000 events");
            }
        }
    }
}
