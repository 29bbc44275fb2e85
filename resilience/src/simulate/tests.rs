use super::*;
use crate::{
    policy::{Backoff, Breaker, Policy, Retry},
    trip::Trip,
};
use proptest::prelude::*;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn constant(interval: u64, max_retries: Option<u32>) -> Option<Retry> {
    Some(Retry {
        backoff: Backoff::Constant {
            interval: seconds(interval),
        },
        max_retries,
    })
}

fn breaker(trip: &str, timeout: u64) -> Option<Breaker> {
    Some(Breaker {
        trip: Trip::parse(trip).expect("a trip"),
        timeout: seconds(timeout),
        interval: None,
        max_requests: 1,
    })
}

fn policy(timeout: Option<u64>, retry: Option<Retry>, breaker: Option<Breaker>) -> Policy {
    Policy {
        timeout: timeout.map(seconds),
        retry,
        breaker,
    }
}

#[test]
fn a_healthy_kafka_answers_at_once() {
    let mut scenario = Scenario::new(Policy::default(), Mode::Refuse, Duration::ZERO, 50.0);
    scenario.outage.windows.clear();
    let report = simulate(&scenario);
    assert_eq!((report.calls, report.accepted), (1500, 1500));
    assert_eq!(report.waiting_at_most, 1);
    assert_eq!((report.failures, report.extra_events), (0, 0));
}

/// A policy, how long which outage is, calls a second; what is refused at least and at most in 30 runs, and how long the
/// slowest answer takes, in seconds.
type Case = (Policy, Mode, u64, f64, [u64; 2], [f64; 2]);

#[test]
fn what_policies_come_to() {
    let endless = || policy(None, constant(2, None), None);
    let textbook = || policy(None, constant(1, Some(5)), breaker("consecutiveFailures >= 5", 5));
    let cases: Vec<Case> = vec![
        // Nothing is tried again: refused when the client gives up, each partition for up to 10 s after the outage.
        (Policy::default(), Mode::Refuse, 5, 5.0, [20, 76], [0.8, 6.0]),
        // All wait. The client may take its 10 s longer.
        (endless(), Mode::Refuse, 5, 5.0, [0, 0], [5.0, 18.0]),
        (endless(), Mode::Refuse, 30, 50.0, [0, 0], [30.0, 43.0]),
        // An open breaker ends the retries of all that wait.
        (textbook(), Mode::Refuse, 30, 5.0, [140, 230], [1.5, 8.0]),
        // A broker that hangs is waited for: no attempt fails.
        (textbook(), Mode::Hang, 20, 20.0, [0, 0], [19.9, 20.1]),
        // Unless there is a timeout: then the breaker opens.
        (
            policy(Some(5), constant(1, Some(5)), breaker("consecutiveFailures >= 5", 5)),
            Mode::Hang,
            20,
            20.0,
            [380, 430],
            // A retry may be the one that the half-open breaker lets try.
            [5.0, 12.1],
        ),
        (endless(), Mode::Slow(seconds(1)), 10, 20.0, [0, 0], [1.0, 2.1]),
    ];
    for (number, (policy, mode, length, rate, refused, slowest)) in cases.into_iter().enumerate() {
        for seed in 1..=30 {
            let scenario = Scenario {
                seed,
                ..Scenario::new(policy.clone(), mode, seconds(length), rate)
            };
            let report = simulate(&scenario);
            let longest = report.answers.longest;
            assert!(
                (refused[0]..=refused[1]).contains(&report.refused),
                "case {number}, seed {seed}: {} refused",
                report.refused
            );
            assert!(
                (slowest[0]..=slowest[1]).contains(&longest),
                "case {number}, seed {seed}: {longest} s"
            );
        }
    }
}

#[test]
fn a_partition_fails_ten_events_a_second_at_most() {
    for partitions in [1, 3, 12] {
        let mut scenario = Scenario::new(policy(None, constant(1, None), None), Mode::Refuse, seconds(30), 200.0);
        scenario.client.partitions = partitions;
        let failures = simulate(&scenario).failures;
        let most = 10 * 30 * partitions as u64;
        assert!(
            (most * 8 / 10..=most * 11 / 10).contains(&failures),
            "{partitions}: {failures}"
        );
    }
}

#[test]
fn the_breaker_opens_half_opens_and_closes() {
    let policy = policy(None, None, breaker("consecutiveFailures > 3", 3));
    let report = simulate(&Scenario::new(policy, Mode::Refuse, seconds(10), 20.0));
    let states: Vec<State> = report.breaker.iter().map(|change| change.state).collect();
    assert_eq!(states[..2], [State::Open, State::HalfOpen]);
    assert_eq!(states[states.len() - 1], State::Closed);
    for pair in report.breaker.windows(2) {
        if pair[0].state == State::Open {
            let open = pair[1].at - pair[0].at;
            assert!((3.0..3.1).contains(&open), "open for {open} s");
        }
    }
    assert!(report.closed_after.expect("closed") < 14.0);
    assert!(report.fast.p50 < 0.001 && report.fast.count > 100, "{:?}", report.fast);
    assert_eq!(report.stopped + report.failures, report.refused, "one attempt each");
}

#[test]
fn what_a_timeout_gives_up_arrives_all_the_same() {
    let impatient = policy(Some(2), constant(1, Some(20)), None);
    let report = simulate(&Scenario::new(impatient, Mode::Hang, seconds(15), 10.0));
    assert_eq!(report.refused, 0);
    // The first waits 15 s: five attempts of 2 s, 1 s apart. The last only one.
    assert!((300..450).contains(&report.extra_events), "{}", report.extra_events);
}

#[test]
fn a_flap_is_away_by_turns() {
    let outage = Outage::flapping(seconds(5), seconds(12), seconds(5));
    let windows: Vec<_> = outage.windows.iter().map(|window| (window.from, window.to)).collect();
    assert_eq!(windows, [(seconds(5), seconds(10)), (seconds(15), seconds(17))]);
    assert!(
        Outage::flapping(seconds(5), seconds(12), Duration::ZERO)
            .windows
            .is_empty()
    );
}

#[test]
fn a_fitted_policy_holds_its_budget_at_each_lower_rate() {
    for (length, rate) in [(5, 5.0), (30, 50.0), (60, 20.0)] {
        let scenario = Scenario::new(Policy::default(), Mode::Refuse, seconds(length), rate);
        let fitted = fit(&scenario, 10);
        assert!(
            fitted.within.iter().all(|report| report.refused == 0),
            "{length} s, {rate}/s"
        );
        for report in &fitted.beyond {
            assert!(
                report.refused > 0 && report.closed_after.is_some(),
                "{length} s, {rate}/s"
            );
            assert!(report.waiting_at_most as f64 <= 3.0 * length as f64 * rate + 20.0);
        }
        for share in [0.5, 0.05] {
            let slower = Scenario {
                policy: fitted.policy.clone(),
                rate: rate * share,
                seed: 99,
                ..scenario.clone()
            };
            assert_eq!(simulate(&slower).refused, 0, "{length} s, {rate}/s × {share}");
        }
    }
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let retry = prop_oneof![
        Just(None),
        (0..4_u64, prop_oneof![Just(None), (0..12_u32).prop_map(Some)])
            .prop_map(|(interval, most)| constant(interval, most)),
        (1..20_u32, 1..8_u64).prop_map(|(most, max)| Some(Retry {
            backoff: Backoff::Exponential {
                initial: Duration::from_millis(500),
                max: seconds(max),
                multiplier: 1.5,
                randomization: 0.5,
                max_elapsed: Some(seconds(900)),
            },
            max_retries: Some(most),
        })),
    ];
    let trips = [
        "consecutiveFailures > 3",
        "requests > 20 && totalFailures * 2 > requests",
        "totalFailures >= 100",
    ];
    let breaker = prop_oneof![
        Just(None),
        (
            0..3_usize,
            1..8_u64,
            1..4_u32,
            prop_oneof![Just(None), Just(Some(seconds(2)))]
        )
            .prop_map(move |(trip, timeout, max_requests, interval)| Some(Breaker {
                max_requests,
                interval,
                ..breaker(trips[trip], timeout).expect("a breaker")
            })),
    ];
    let mode = prop_oneof![
        Just(Mode::Refuse),
        Just(Mode::Hang),
        (10..4000_u64).prop_map(|late| Mode::Slow(Duration::from_millis(late))),
    ];
    let timeout = prop_oneof![Just(None), (1..6_u64).prop_map(Some)];
    let calls = (1..80_u32, 1..6_usize, any::<u64>(), any::<bool>());
    let windows = prop_oneof![Just(None), (1..6_u64).prop_map(Some)];
    (timeout, retry, breaker, mode, 0..40_u64, calls, windows).prop_map(
        |(timeout, retry, breaker, mode, length, (rate, partitions, seed, even), flap)| {
            let policy = policy(timeout, retry, breaker);
            let mut scenario = Scenario::new(policy, mode, seconds(length), rate.into());
            if let (Some(period), Mode::Refuse) = (flap, mode) {
                scenario.outage = Outage::flapping(seconds(5), seconds(length), seconds(period));
            }
            scenario.client.partitions = partitions;
            scenario.seed = seed;
            scenario.arrivals = if even { Arrivals::Even } else { Arrivals::Poisson };
            scenario.tail = seconds(20);
            scenario
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_call_is_answered_once(scenario in scenarios()) {
        let report = simulate(&scenario);
        prop_assert_eq!(report.accepted + report.refused, report.calls);
        let slices = |of: fn(&Slice) -> u32| report.slices.iter().map(|slice| u64::from(of(slice))).sum::<u64>();
        prop_assert_eq!(slices(|slice| slice.made), report.calls);
        prop_assert_eq!(slices(|slice| slice.accepted), report.accepted);
        prop_assert_eq!(slices(|slice| slice.refused), report.refused);
        prop_assert_eq!(report.slices.last().map_or(0, |slice| slice.waiting), 0);
        let answers = answers(&scenario);
        prop_assert_eq!(answers.len() as u64, report.calls);
        prop_assert_eq!(answers.iter().filter(|answer| answer.accepted).count() as u64, report.accepted);
        prop_assert_eq!(answers.iter().map(|answer| answer.retries).max().unwrap_or(0), report.retries_at_most);
        prop_assert!(report.stopped <= report.refused);
        prop_assert!(report.waiting_at_most <= report.calls);
        if scenario.policy.breaker.is_none() {
            prop_assert_eq!(report.stopped, 0);
        }
        if scenario.policy.timeout.is_none() && !matches!(scenario.outage.mode, Mode::Hang) {
            prop_assert_eq!(report.extra_events, 0);
        }
        if let Some(retry) = &scenario.policy.retry && let Some(most) = retry.max_retries {
            prop_assert!(report.retries_at_most <= most);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same(scenario in scenarios()) {
        prop_assert_eq!(simulate(&scenario), simulate(&scenario));
    }
}

#[test]
fn beyond_the_budget_refusals_are_quick_once_the_breaker_is_open() {
    let shipped = || policy(Some(45), constant(5, Some(9)), breaker("consecutiveFailures > 300", 5));
    let beyond = |policy: Policy, rate: f64| {
        let mut scenario = Scenario::new(policy, Mode::Refuse, seconds(90), rate);
        scenario.budget = seconds(10);
        simulate(&scenario)
    };
    // Few publishes a second: those that are let through to try are many among them.
    for rate in [2.0, 50.0] {
        let report = beyond(shipped(), rate);
        assert!(report.beyond.count > 50, "{rate}: {report:?}");
        assert!(report.beyond.longest < 0.001, "{rate}: {:?}", report.beyond);
        assert!(report.refusals.longest > 1.0, "who waited before counts elsewhere");
    }
    // Without a breaker it takes as long as the retries.
    let report = beyond(policy(None, constant(1, Some(3)), None), 5.0);
    assert!(
        report.beyond.count > 50 && report.beyond.p99 > 3.0,
        "{:?}",
        report.beyond
    );
    let report = beyond(policy(None, constant(1, None), None), 5.0);
    assert_eq!(report.beyond, Times::default(), "nothing is refused");
}
