use super::*;

const BUDGET: Duration = Duration::from_secs(30);

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn accepted(number: u32, begun: f64, took: f64) -> Call {
    Call {
        number,
        begun: s(begun),
        took: s(took),
        answer: Answer::Accepted,
    }
}

fn refused(number: u32, begun: f64, took: f64, by_breaker: bool) -> Call {
    Call {
        answer: Answer::Refused {
            code: 500,
            by_breaker,
            text: "no".into(),
        },
        ..accepted(number, begun, took)
    }
}

fn lost_way(number: u32, begun: f64) -> Call {
    Call {
        answer: Answer::Unknown("closed".into()),
        ..accepted(number, begun, 1.0)
    }
}

/// An outage with all calls waiting for its end.
fn bridged() -> Seen {
    Seen {
        budget: BUDGET,
        breaker: None,
        back: s(25.0),
        calls: (0..25)
            .map(|n| accepted(n, f64::from(n), 27.0 - f64::from(n)))
            .collect(),
        states: vec![(s(1.0), State::Closed), (s(26.0), State::Closed)],
        delivery: Delivery::Checked {
            delivered: (0..25).collect(),
            twice: BTreeSet::new(),
            discarded: BTreeSet::new(),
        },
    }
}

fn verdicts(seen: &Seen) -> Vec<Verdict> {
    judge(seen).into_iter().map(|promise| promise.verdict).collect()
}

use Verdict::{Broken, Kept, NotTested, Unknown};

#[test]
fn an_outage_that_was_bridged_keeps_every_promise_it_tests() {
    // No breaker opened, so none was seen to close.
    assert_eq!(verdicts(&bridged()), [Kept, Kept, NotTested, NotTested]);
    assert!(disagreements(&bridged()).is_empty());
}

#[test]
fn one_refusal_within_the_budget_breaks_the_first_promise() {
    let mut seen = bridged();
    seen.calls.push(refused(99, 3.0, 0.01, true));
    assert_eq!(verdicts(&seen)[0], Broken);
    let why = judge(&seen)[0].why.clone();
    assert_eq!(why, "1 of 26 refused, the first at 3.0 s after 10 ms with 500: no");
    // It came from an outage within the budget, however late its answer.
    seen.calls.pop();
    seen.calls.push(refused(99, 24.0, 60.0, false));
    assert_eq!(verdicts(&seen), [Broken, Kept, NotTested, Broken]);
}

#[test]
fn of_a_longer_outage_only_the_first_part_is_within_the_budget() {
    let mut seen = bridged();
    seen.back = s(50.0);
    seen.calls = vec![
        accepted(0, 0.0, 0.1),
        refused(1, 5.0, 26.0, false),
        accepted(2, 50.0, 1.0),
    ];
    assert_eq!(verdicts(&seen), [Kept, Kept, NotTested, Kept]);
    seen.calls[1] = refused(1, 5.0, 24.0, false);
    assert_eq!(verdicts(&seen)[0], Broken);
}

#[test]
fn beyond_the_budget_refusals_are_quick() {
    let mut seen = bridged();
    seen.back = s(50.0);
    let quick = (0..100).map(|n| refused(100 + n, 31.0 + f64::from(n) / 10.0, 0.005, true));
    seen.calls.extend(quick);
    assert_eq!(verdicts(&seen)[2], Kept);
    // One of a hundred may be slow, two may not.
    seen.calls.push(refused(300, 32.0, 5.0, false));
    assert_eq!(verdicts(&seen)[2], Kept);
    seen.calls.push(refused(301, 32.0, 5.0, false));
    assert_eq!(verdicts(&seen)[2], Broken);
}

#[test]
fn who_waited_for_the_breaker_and_who_is_let_through_to_try_is_not_counted() {
    let mut seen = bridged();
    seen.back = s(60.0);
    // It opens at 40 s, which ends the waiting of all.
    seen.calls
        .extend((0..50).map(|n| refused(100 + n, 30.0 + f64::from(n) / 5.0, 10.0 - f64::from(n) / 5.0, true)));
    seen.calls
        .extend((0..100).map(|n| refused(200 + n, 40.5 + f64::from(n) / 10.0, 0.005, true)));
    assert_eq!(
        judge(&seen)[2].why,
        "p99 of 100 refusals is 5 ms; 50 more before the breaker opened at 40 s, up to 10 s"
    );
    // Each 5 s until 60 s one may try: four.
    seen.calls
        .extend((0..4).map(|n| refused(400 + n, 46.0 + f64::from(n) * 5.0 - 2.0, 2.0, true)));
    assert_eq!(verdicts(&seen)[2], Broken, "nothing is known of the breaker");
    seen.breaker = Some(Breaker {
        trip: crate::trip::Trip::default(),
        timeout: s(5.0),
        interval: None,
        max_requests: 1,
    });
    assert_eq!(
        judge(&seen)[2].why,
        "p99 of 100 refusals is 5 ms; 4 more let through to try whether Kafka is back, up to 2 s; 50 more before the breaker \
         opened at 40 s, up to 10 s"
    );
    assert_eq!(verdicts(&seen)[2], Kept);
    seen.calls.extend((0..2).map(|n| refused(500 + n, 50.0, 2.0, true)));
    assert_eq!(verdicts(&seen)[2], Broken, "more than it can have let through");

    let mut seen = bridged();
    seen.back = s(50.0);
    seen.calls.push(refused(100, 35.0, 20.0, true));
    assert_eq!(judge(&seen)[2].why, "the breaker opened only at 55 s");
    assert_eq!(verdicts(&seen)[2], NotTested);
}

#[test]
fn an_accepted_event_that_is_nowhere_is_lost() {
    let mut seen = bridged();
    let checked = |delivered: std::ops::Range<u32>, discarded: &[u32]| Delivery::Checked {
        delivered: delivered.collect(),
        twice: BTreeSet::from([3]),
        discarded: discarded.iter().copied().collect(),
    };
    seen.delivery = checked(1..25, &[]);
    assert_eq!(
        judge(&seen)[1].why,
        "24 of 25 accepted events are in Kafka, 1 of them more than once; 1 are lost, the first is number 0"
    );
    assert_eq!(verdicts(&seen)[1], Broken);
    seen.delivery = checked(1..25, &[0]);
    assert_eq!(verdicts(&seen)[1], Kept, "it went with Kafka's own disk");
    seen.delivery = Delivery::Failed("no way".into());
    assert_eq!(verdicts(&seen)[1], Unknown);
    seen.delivery = Delivery::Skipped;
    assert_eq!(judge(&seen)[1].why, "25 accepted, delivery not checked");
}

#[test]
fn a_call_whose_answer_never_came_cannot_be_judged() {
    let mut seen = bridged();
    seen.calls.push(lost_way(99, 5.0));
    assert_eq!(verdicts(&seen)[0], Unknown);
    seen.calls.push(refused(98, 5.0, 0.1, false));
    assert_eq!(verdicts(&seen)[0], Broken, "what is known counts");
    seen.calls.clear();
    assert_eq!(verdicts(&seen)[0], Unknown, "nothing was seen");
}

#[test]
fn a_breaker_that_stays_open_is_told_by_calls_or_by_metrics() {
    let mut seen = bridged();
    seen.calls.push(refused(99, 34.9, 0.0, true));
    assert_eq!(verdicts(&seen)[3], Kept, "within ten seconds of 25.0");
    seen.calls.push(refused(98, 35.1, 0.0, true));
    assert_eq!(verdicts(&seen)[3], Broken);

    let mut seen = bridged();
    seen.states.push((s(36.5), State::Open));
    assert_eq!(verdicts(&seen)[3], Broken);
    let mut seen = bridged();
    seen.calls.retain(|call| call.ended() < seen.back);
    assert_eq!(verdicts(&seen)[3], Broken, "nothing was accepted");
    seen.calls.push(accepted(50, 26.0, 20.0));
    assert_eq!(
        judge(&seen)[3].why,
        "it never opened; the first was accepted 21 s after Kafka was back"
    );
    assert_eq!(
        verdicts(&seen)[3],
        NotTested,
        "that is the Kafka client, not the breaker"
    );
    seen.calls.push(refused(51, 20.0, 0.1, true));
    assert_eq!(judge(&seen)[3].why, "the first was accepted 21 s after Kafka was back");
    assert_eq!(verdicts(&seen)[3], Broken);
}

#[test]
fn calls_and_metrics_that_disagree_are_told() {
    let mut seen = bridged();
    seen.states.push((s(5.0), State::Open));
    seen.states.push((s(27.0), State::Closed));
    assert_eq!(
        disagreements(&seen),
        ["The metrics show the breaker open from 5 s; no call was refused by it."]
    );
    let mut seen = bridged();
    seen.calls.push(refused(99, 5.0, 0.0, true));
    assert!(
        disagreements(&seen).is_empty(),
        "it may have opened and closed between two looks"
    );
    seen.calls.push(refused(98, 9.0, 0.0, true));
    assert_eq!(
        disagreements(&seen),
        ["2 calls were refused by an open breaker from 5 s to 9 s; the metrics never show it open."]
    );
}

#[test]
fn quantiles_are_values_that_were_seen() {
    let sorted: Vec<Duration> = (1..=100).map(|n| s(f64::from(n))).collect();
    assert_eq!(quantile(&sorted, 0.5), Some(s(50.0)));
    assert_eq!(quantile(&sorted, 0.99), Some(s(99.0)));
    assert_eq!(quantile(&sorted[..1], 0.99), Some(s(1.0)));
    assert_eq!(quantile::<Duration>(&[], 0.5), None);
}
