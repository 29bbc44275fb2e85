use super::*;

const MINUTE: Ms = 60_000;

fn calculator() -> Calculator {
    Calculator {
        cpu_initialization: 5 * MINUTE,
        initial_readiness: 30 * SECOND,
        tolerances: Tolerances { up: 0.1, down: 0.1 },
    }
}

/// Ready for an hour.
fn old() -> Pod {
    Pod {
        phase: Phase::Running,
        started: Some(0),
        ready: true,
        since: 10 * SECOND,
        ignored: false,
    }
}

const NOW: Ms = 60 * MINUTE;

fn figure(value: i64) -> Option<Sample> {
    Some(Sample {
        value,
        at: NOW - 10 * SECOND,
        window: 15 * SECOND,
    })
}

fn cpu(percent: i32) -> Metric {
    Metric {
        source: Source::Resource(Resource::Cpu),
        target: Target::Utilization(percent),
    }
}

/// Each pod with its figure; a pod requests 1000.
fn wanted(metric: &Metric, pods: &[(Pod, Option<Sample>)]) -> Result<i32, Unknown> {
    let (pods, figures): (Vec<Pod>, Vec<Option<Sample>>) = pods.iter().copied().unzip();
    let replicas = pods.len() as i32;
    calculator().replicas(
        metric,
        &Reading::PerPod(figures),
        (replicas, replicas),
        &pods,
        Some(1000),
        NOW,
    )
}

/// Most cases are of `replica_calculator_test.go`, with the same figures.
#[test]
fn up_and_down_and_not_at_all() {
    let pods = |values: &[i64]| values.iter().map(|value| (old(), figure(*value))).collect::<Vec<_>>();
    for (percent, values, replicas) in [
        (30, &[300, 500, 700][..], 5),
        (50, &[100, 300, 500, 250, 250], 3),
        (100, &[1010, 1030, 1020], 3),
        // 1.1 is within the tolerance, one percent more is not.
        (50, &[550], 1),
        (50, &[560], 2),
        // 55.9 % are 55: rounded down, and so within it.
        (50, &[559], 1),
        (50, &[0, 0], 0),
    ] {
        assert_eq!(wanted(&cpu(percent), &pods(values)), Ok(replicas), "{values:?}");
    }
    let value = Metric {
        target: Target::AverageValue(100),
        ..cpu(1)
    };
    assert_eq!(wanted(&value, &pods(&[300, 300])), Ok(6));
}

#[test]
fn pods_without_figures_hold_it_back() {
    let pods = |values: &[Option<i64>]| {
        let pod = |value: &Option<i64>| (old(), value.and_then(figure));
        values.iter().map(pod).collect::<Vec<_>>()
    };
    // Up: nothing is assumed. 2 of 3 at 100 % of 50 % would be 4; with a silent one at 0 it is 66 %.
    assert_eq!(wanted(&cpu(50), &pods(&[Some(1000), Some(1000), None])), Ok(4));
    // Down: all of the request is assumed, so that it stays.
    assert_eq!(wanted(&cpu(50), &pods(&[Some(100), Some(100), None])), Ok(3));
    // A target of more than the request counts itself.
    assert_eq!(wanted(&cpu(200), &pods(&[Some(1000), Some(1000), None])), Ok(2));
    assert_eq!(wanted(&cpu(50), &pods(&[None, None])), Err(Unknown::NoFigures));
}

#[test]
fn pods_that_are_not_ready_or_too_young_are_not_measured() {
    let pending = Pod {
        phase: Phase::Pending,
        ready: false,
        ..old()
    };
    // The new one counts as idle on the way up, and not at all on the way down.
    assert_eq!(wanted(&cpu(50), &[(old(), figure(1000)), (pending, None)]), Ok(2));
    assert_eq!(
        wanted(&cpu(50), &[(old(), figure(100)), (old(), figure(100)), (pending, None)]),
        Ok(1)
    );
    let young = |started: Ms, since: Ms, ready: bool| Pod {
        started: Some(started),
        since,
        ready,
        ..old()
    };
    let busy = [(old(), figure(500)), (old(), figure(500))];
    let with = |pod: Pod| wanted(&cpu(50), &[busy[0], busy[1], (pod, figure(5000))]);
    // Ready for 20 s: no whole window since (its figure is 10 s old, and 15 s long).
    assert_eq!(with(young(NOW - MINUTE, NOW - 20 * SECOND, true)), Ok(3));
    // Ready for 25 s: it counts.
    assert_eq!(with(young(NOW - MINUTE, NOW - 25 * SECOND, true)), Ok(12));
    // After the first five minutes a pod that is not ready counts, unless it never was.
    assert_eq!(with(young(NOW - 6 * MINUTE, NOW - MINUTE, false)), Ok(12));
    assert_eq!(with(young(NOW - 6 * MINUTE, NOW - 6 * MINUTE, false)), Ok(3));
    // Of memory the first minutes count as any.
    let memory = Metric {
        source: Source::Resource(Resource::Memory),
        ..cpu(50)
    };
    let pod = young(NOW - MINUTE, NOW - SECOND, false);
    assert_eq!(wanted(&memory, &[busy[0], busy[1], (pod, figure(5000))]), Ok(12));
    let deleted = Pod { ignored: true, ..old() };
    assert_eq!(wanted(&cpu(50), &[busy[0], (deleted, figure(5000))]), Ok(2));
    assert_eq!(
        wanted(&cpu(50), &[(pending, None), (young(NOW, NOW, false), figure(1))]),
        Err(Unknown::NoneReady)
    );
}

#[test]
fn totals() {
    let external = |target| Metric {
        source: Source::External("lag".into()),
        target,
    };
    let of = |target, total, replicas| {
        let pods = vec![old(); 3];
        calculator().replicas(
            &external(target),
            &Reading::Total(total),
            (replicas, 3),
            &pods,
            None,
            NOW,
        )
    };
    assert_eq!(of(Target::AverageValue(100), 1000, 3), Ok(10));
    assert_eq!(of(Target::AverageValue(100), 330, 3), Ok(3));
    assert_eq!(of(Target::AverageValue(100), 331, 3), Ok(4));
    assert_eq!(of(Target::AverageValue(100), 0, 3), Ok(0));
    assert_eq!(of(Target::Value(100), 200, 3), Ok(6));
    assert_eq!(of(Target::Value(100), 109, 3), Ok(3));
    assert_eq!(of(Target::Value(100), 150, 0), Ok(2));
}
