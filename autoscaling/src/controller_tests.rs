use super::*;
use crate::{Metric, Phase, Policy, PolicyKind, Rules, Select, Source, Target};

fn hpa(min: i32, max: i32, behavior: Option<Behavior>) -> Autoscaler {
    Autoscaler {
        name: "cart".into(),
        namespace: None,
        target: ("Deployment".into(), "cart".into()),
        min,
        max,
        metrics: vec![Metric {
            source: Source::External("lag".into()),
            target: Target::AverageValue(1000),
        }],
        behavior,
    }
}

fn rules(window: i32, select: Select, policies: &[(PolicyKind, i32, i32)]) -> Rules {
    let policy = |(kind, value, period): &(PolicyKind, i32, i32)| Policy {
        kind: *kind,
        value: *value,
        period: *period,
    };
    Rules {
        window: Some(window),
        select,
        policies: policies.iter().map(policy).collect(),
        tolerance: None,
    }
}

/// A controller that looks each 15 s, from `begin` pods on: what it makes of each wish.
fn played(hpa: &Autoscaler, begin: i32, wishes: &[i32]) -> Vec<i32> {
    let mut controller = Controller::new(Flags::default());
    let mut replicas = begin;
    let pod = Pod {
        phase: Phase::Running,
        started: Some(0),
        ready: true,
        since: 0,
        ignored: false,
    };
    let step = |(number, wish): (usize, &i32)| {
        let pods = vec![pod; replicas.max(0) as usize];
        let seen = Seen {
            now: number as Ms * (15 * SECOND + 20),
            replicas,
            status: replicas,
            pods: &pods,
            readings: &[(Reading::Total(i64::from(*wish) * 1000), None)],
        };
        replicas = controller.sync(hpa, &seen).replicas;
        replicas
    };
    wishes.iter().enumerate().map(step).collect()
}

#[test]
fn without_a_behavior_it_doubles_and_waits_five_minutes() {
    let hpa = hpa(1, 100, None);
    assert_eq!(played(&hpa, 1, &[50; 6]), [4, 8, 16, 32, 50, 50]);
    // The highest of five minutes: twenty rounds and a bit.
    let down = played(&hpa, 10, &[2; 25]);
    assert_eq!(down.iter().position(|replicas| *replicas == 2), Some(20));
    assert!(down[..20].iter().all(|replicas| *replicas == 10));
}

#[test]
fn bounds_come_first() {
    assert_eq!(played(&hpa(2, 5, None), 1, &[1]), [2]);
    assert_eq!(played(&hpa(2, 5, None), 9, &[9]), [5]);
    assert_eq!(played(&hpa(2, 5, None), 4, &[9]), [5]);
    assert_eq!(played(&hpa(2, 5, None), 0, &[9]), [0], "zero is somebody's wish");
}

#[test]
fn policies_bound_how_fast() {
    let up = |policies: &[_], select| {
        hpa(
            1,
            100,
            Some(Behavior {
                up: rules(0, select, policies),
                down: Rules::down(),
            }),
        )
    };
    let two = (PolicyKind::Pods, 2, 15);
    assert_eq!(played(&up(&[two], Select::Max), 1, &[50; 4]), [3, 5, 7, 9]);
    // One period is two rounds: what was added in it counts.
    assert_eq!(
        played(&up(&[(PolicyKind::Pods, 2, 30)], Select::Max), 1, &[50; 4]),
        [3, 3, 5, 5]
    );
    let half = (PolicyKind::Percent, 50, 15);
    assert_eq!(played(&up(&[two, half], Select::Max), 3, &[50; 4]), [5, 8, 12, 18]);
    assert_eq!(played(&up(&[two, half], Select::Min), 3, &[50; 4]), [5, 7, 9, 11]);
    assert_eq!(played(&up(&[two], Select::Disabled), 3, &[50; 2]), [3, 3]);
    let down = |policies: &[_], window| {
        hpa(
            1,
            100,
            Some(Behavior {
                up: Rules::up(),
                down: rules(window, Select::Max, policies),
            }),
        )
    };
    assert_eq!(
        played(&down(&[(PolicyKind::Pods, 1, 60)], 0), 5, &[1; 9]),
        [4, 4, 4, 4, 3, 3, 3, 3, 2]
    );
    // Rounded towards fewer pods: 0.9 of 5 is 4.
    assert_eq!(
        played(&down(&[(PolicyKind::Percent, 10, 15)], 0), 5, &[1; 3]),
        [4, 3, 2]
    );
    let waits = played(&down(&[(PolicyKind::Percent, 100, 15)], 60), 5, &[1; 6]);
    assert_eq!(waits, [5, 5, 5, 5, 1, 1], "first what was there counts, for a minute");
}

#[test]
fn a_window_upwards_takes_the_lowest() {
    let hpa = hpa(
        1,
        100,
        Some(Behavior {
            up: rules(60, Select::Max, &[(PolicyKind::Pods, 50, 15)]),
            down: Rules::down(),
        }),
    );
    assert_eq!(played(&hpa, 2, &[2, 9, 7, 9, 9, 9, 9]), [2, 2, 2, 2, 7, 7, 9]);
}
