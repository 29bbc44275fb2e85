use super::*;
use serde::Deserialize;

/// A run in a few numbers, as it stands in the cases.
#[derive(Deserialize)]
struct Case {
    name: String,
    /// By second from -2 on, the last one goes on: pods that are wanted, that serve, and the share of the target.
    wanted: Vec<i32>,
    ready: Vec<i32>,
    share: Vec<f64>,
    /// Where it differs from what is wanted.
    #[serde(default)]
    told: Vec<i32>,
    end: String,
    load_ended: f64,
    #[serde(default)]
    held_from: Option<f64>,
    #[serde(default)]
    waited_until: Option<f64>,
    #[serde(default)]
    failed: Vec<f64>,
    #[serde(default)]
    lost: usize,
    /// The verdict of each promise, in one letter: Kept, Broken, - not tested, ? unknown.
    verdicts: String,
    /// Words that the reasons must have.
    says: Vec<String>,
}

fn seen(case: &Case) -> Seen {
    let seconds = case.wanted.len().max(case.ready.len()).max(case.share.len());
    let at = |all: &[i32], n: usize| all.get(n).or(all.last()).copied().unwrap_or(0);
    let look = |n: usize| {
        let share = case.share.get(n).or(case.share.last()).copied();
        let (wanted, ready) = (at(&case.wanted, n), at(&case.ready, n));
        Look {
            at: n as f64 - 2.0,
            wanted,
            told: if case.told.is_empty() {
                wanted
            } else {
                at(&case.told, n)
            },
            ready,
            new_ready: (ready - 1).max(0),
            there: ready,
            asked_for: share.map(|share| (f64::from(ready) * share).ceil() as i32),
            share,
            figure: share.map_or_else(String::new, |share| format!("cpu {:.0} %/70 %", share * 70.0)),
            owners: vec!["kube-controller-manager".into()],
            ..Look::default()
        }
    };
    Seen {
        from: 1,
        within: Duration::from_secs(5),
        looks: (0..seconds).map(look).collect(),
        failures: case
            .failed
            .iter()
            .map(|at| Failure {
                at: *at,
                text: "503 busy".into(),
                ..Failure::default()
            })
            .collect(),
        sent: 1000,
        lost: case.lost,
        lost_why: (case.lost > 0).then(|| "cut".into()),
        most_rps: 50.0,
        held_from: case.held_from,
        load_ended: case.load_ended,
        end: match case.end.as_str() {
            "held" => End::Held,
            "not wanted" => End::NotWanted,
            "not ready" => End::NotReady,
            "errors" => End::Errors,
            "late" => End::Late,
            other => panic!("{other}"),
        },
        waited_until: case.waited_until,
        ..Seen::default()
    }
}

#[test]
fn each_case_has_its_verdicts() {
    let cases = include_str!("../../../../../tests/cases/autoscaling-verdicts.yaml");
    let cases: Vec<Case> = serde_saphyr::from_str(cases).expect("the cases");
    assert!(cases.len() > 8);
    for case in &cases {
        let promises = seen(case).judge();
        let letter = |promise: &Promise| match promise.verdict {
            Verdict::Kept => 'K',
            Verdict::Broken => 'B',
            Verdict::NotTested => '-',
            Verdict::Unknown => '?',
        };
        let why: Vec<String> = promises.iter().map(|p| format!("{}: {}", p.id, p.why)).collect();
        let why = why.join("\n");
        let verdicts: String = promises.iter().map(letter).collect();
        assert_eq!(verdicts, case.verdicts, "{}\n{why}", case.name);
        for words in &case.says {
            assert!(
                why.contains(words.as_str()),
                "{}: `{words}` is not in\n{why}",
                case.name
            );
        }
    }
}

#[test]
fn whose_fault_a_failure_is_shows_in_what_pods_did() {
    let life = |ip: &str, ready: f64, leaving: Option<f64>| Life {
        ip: Some(ip.into()),
        ready: Some(ready),
        leaving,
    };
    let seen = Seen {
        pods: [
            ("old".to_owned(), life("10.0.0.1", -60.0, None)),
            ("new".to_owned(), life("10.0.0.2", 30.0, Some(400.0))),
        ]
        .into(),
        ..Seen::default()
    };
    let failure = |at: f64, ip: Option<&str>| Failure {
        at,
        ip: ip.map(str::to_owned),
        ..Failure::default()
    };
    let leaving = Cause::Leaving("new".into());
    for (failure, cause) in [
        (failure(31.0, Some("10.0.0.2")), Cause::Fresh("new".into())),
        (failure(29.0, Some("10.0.0.2")), Cause::Fresh("new".into())),
        (failure(100.0, Some("10.0.0.2")), Cause::Service),
        (failure(399.0, Some("10.0.0.2")), leaving.clone()),
        (failure(420.0, Some("10.0.0.2")), leaving.clone()),
        (failure(400.5, Some("10.0.0.1")), Cause::Service),
        // Its connection was cut: which pod it was, nobody says.
        (failure(400.5, None), leaving.clone()),
        (failure(300.0, None), Cause::Service),
        (
            Failure {
                nobody: true,
                ..failure(400.0, None)
            },
            Cause::Nobody,
        ),
        // Sent long before, and cut when the pod ended.
        (
            Failure {
                took: 20.0,
                ..failure(385.0, Some("10.0.0.2"))
            },
            leaving,
        ),
    ] {
        assert_eq!(seen.cause(&failure), cause, "{failure:?}");
    }
}

#[test]
fn figures_of_a_whole_run() {
    let case = Case {
        name: String::new(),
        wanted: vec![1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 2, 2, 1],
        ready: vec![1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 2, 1],
        share: vec![0.1, 0.1, 1.0, 2.8, 2.8, 2.8, 2.8, 0.6],
        told: Vec::new(),
        end: "held".into(),
        load_ended: 9.0,
        held_from: Some(5.0),
        waited_until: Some(12.0),
        failed: vec![4.0, 8.9, 10.5],
        lost: 0,
        verdicts: String::new(),
        says: Vec::new(),
    };
    let figures = seen(&case).figures();
    let expected = Figures {
        decision: Some(3.0),
        first_ready: Some(5.0),
        most: 3,
        needed: Some(2),
        overshoot: Some(1),
        turns: 0,
        down_began: Some(1.0),
        down: Some(3.0),
        failed_up: 2,
        failed_down: 1,
    };
    assert_eq!(figures, expected);
}
