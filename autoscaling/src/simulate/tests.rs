use super::*;
use crate::{Autoscaler, Curve, Flags, Metric, Resource, SECOND, Shape, Source, Target, Unit};

fn scenario(load: &str) -> Scenario {
    Scenario {
        hpa: Autoscaler {
            name: "cart".into(),
            namespace: None,
            target: ("Deployment".into(), "cart".into()),
            min: 1,
            max: 10,
            metrics: vec![Metric {
                source: Source::Container(Resource::Cpu, "cart".into()),
                target: Target::Utilization(70),
            }],
            behavior: None,
        },
        flags: Flags::default(),
        service: Service {
            containers: vec![Container {
                name: "cart".into(),
                cpu: Some(200),
                memory: None,
            }],
            capacity: Some(400.0),
            pending: 2 * SECOND,
            startup: 10 * SECOND,
            jitter: 0.0,
            idle: 0.0,
            starting: 0.0,
            memory: None,
        },
        load: Load {
            cpu: Some(Curve::parse(load, Unit::Cpu, Shape::Steps).expect("a curve")),
            events: None,
        },
        figures: Figures::default(),
        replicas: None,
        lead: 600 * SECOND,
        tail: 900 * SECOND,
        seed: 1,
        phases: None,
    }
}

#[test]
fn the_same_seed_says_the_same() {
    let scenario = scenario("0=100m,1m=900m,5m=100m");
    let report = simulate(&scenario);
    assert_eq!(report, simulate(&scenario));
    let other = Scenario { seed: 2, ..scenario };
    assert_ne!(report, simulate(&other));
}

#[test]
fn a_step_up_and_down() {
    for seed in 0..50 {
        let report = simulate(&Scenario {
            seed,
            ..scenario("0=100m,1m=900m,6m=100m")
        });
        // 900 of 140 each; with 150 each they are within the tolerance.
        assert!((6..=7).contains(&report.most_pods), "{seed}: {:?}", report.changes);
        assert_eq!(report.taken_back, 0, "{seed}: {:?}", report.changes);
        assert_eq!(report.turns, 1);
        let first = report.first_ready.expect("a new pod");
        assert!((12.0..65.0).contains(&first), "{seed}: {first}");
        let back = report.back_at_minimum.expect("back");
        assert!((290.0..360.0).contains(&back), "{seed}: {back}");
        assert!((0.0..0.2).contains(&report.unmet_share), "{}", report.unmet_share);
        assert_eq!(report.slices.len(), 6 * 60 + 900 + 1);
    }
}

#[test]
fn a_steady_load_is_where_it_begins() {
    let report = simulate(&scenario("0=600m,10m=600m"));
    assert!(report.changes.is_empty(), "{:?}", report.changes);
    assert_eq!(report.slices[0].desired, 5);
}

#[test]
fn a_maximum_that_is_too_low_shows() {
    let mut low = scenario("0=100m,1m=2,6m=100m");
    low.hpa.max = 3;
    let report = simulate(&low);
    assert!(
        report.saturated > 250.0 && report.at_maximum > 200.0,
        "{} {}",
        report.saturated,
        report.at_maximum
    );
    assert!(!low.holds(&report));
    let fitted = crate::fit(&low, 5).expect("a fit");
    assert!(fitted.hpa.max >= 5, "{:?}", fitted.hpa);
    assert!(fitted.reports.iter().all(|report| low.holds(report)));
}

#[test]
fn lag_grows_and_drains_and_partitions_bound_it() {
    let mut consumer = scenario("0=0");
    consumer.load = Load {
        cpu: None,
        events: Some(Events {
            arrivals: Curve::parse("0=10,1m=200,5m=10", Unit::Rate, Shape::Steps).expect("a curve"),
            drain: 50.0,
            partitions: Some(3),
            cpu: 0.0,
        }),
    };
    consumer.hpa.metrics = vec![Metric {
        source: Source::External("lag".into()),
        target: Target::AverageValue(500_000),
    }];
    let report = simulate(&consumer);
    assert!(report.most_pods > 3, "{:?}", report.changes);
    // Three pods take 150 of 200: 50 more wait each second, whatever more pods there are.
    assert!((12_000.0..20_000.0).contains(&report.lag_most), "{}", report.lag_most);
    assert_eq!(report.lag_end, 0.0);
    let mut enough = consumer.clone();
    enough.load.events.as_mut().expect("events").partitions = Some(12);
    let lag = simulate(&enough).lag_most;
    assert!(lag < report.lag_most, "{lag}");
}

#[test]
fn pods_that_start_slowly_leave_more_undone() {
    let share = |startup| {
        let mut slow = scenario("0=100m,1m=900m,6m=100m");
        slow.service.startup = startup * SECOND;
        simulate(&slow).unmet_share
    };
    assert!(share(60) > share(5) * 1.5, "{} {}", share(60), share(5));
}
