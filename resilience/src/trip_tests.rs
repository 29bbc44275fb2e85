use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    counts: Vec<[u32; 5]>,
    trips: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    says: String,
    trip: String,
    #[serde(default)]
    differs: bool,
}

/// What daprd's own code has answered is what we answer.
#[test]
fn trips_are_what_daprd_makes_of_them() {
    let cases: Cases = serde_saphyr::from_str(include_str!("../../tests/cases/trips.yaml")).expect("cases");
    let counts = cases.counts.iter().map(|[a, b, c, d, e]| Counts {
        requests: *a,
        total_successes: *b,
        total_failures: *c,
        consecutive_successes: *d,
        consecutive_failures: *e,
    });
    let counts: Vec<Counts> = counts.collect();
    let mut wrong = Vec::new();
    for Case { says, trip, .. } in cases.trips.iter().filter(|case| !case.differs) {
        let ours = match Trip::parse(trip) {
            Err(_) => "refused".to_owned(),
            Ok(trip) => counts.iter().map(|c| if trip.opens(c) { 'y' } else { '-' }).collect(),
        };
        let theirs = match says.as_str() {
            "refused" | "hangs" => "refused".to_owned(),
            row => row.replace(['n', 'e'], "-"),
        };
        if ours != theirs {
            wrong.push(format!("{trip}: {says}, not {ours}"));
        }
        // It is named what can never say yes or no.
        if says.chars().all(|c| matches!(c, 'n' | 'e')) {
            let never = Trip::parse(trip).is_ok_and(|trip| trip.never().is_some());
            if !never {
                wrong.push(format!("{trip}: never opens"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases.trips.len() >= 60);
}

#[test]
fn the_default_is_what_gobreaker_has() {
    assert_eq!(
        Trip::parse("consecutiveFailures > 5").expect("readable"),
        Trip::default()
    );
}

#[test]
fn the_failures_that_open_it_are_counted() {
    for (trip, failures) in [
        ("consecutiveFailures > 5", Some(6)),
        ("consecutiveFailures >= 5", Some(5)),
        ("totalFailures >= 0", Some(1)),
        ("requests > 12000", Some(12001)),
        ("consecutiveFailures > 5 && requests > 9", Some(10)),
        ("requests >= 10 && totalFailures * 2 >= requests", Some(10)),
        ("consecutiveSuccesses > 5", None),
        ("consecutiveFailures > 4294967295", None),
        ("failures > 5", None),
        ("consecutiveFailures > 70000 || requests > 90000", Some(70001)),
    ] {
        assert_eq!(Trip::parse(trip).expect(trip).failures(), failures, "{trip}");
    }
}

#[test]
fn an_error_names_the_place() {
    for (trip, column, words) in [
        ("consecutiveFailures >> 5", 22, "extraneous input"),
        ("requests > 3 && max(requests, 1) > 2", 17, "no function `max`"),
    ] {
        let e = Trip::parse(trip).expect_err(trip);
        assert_eq!(e.column, Some(column), "{trip}: {e:?}");
        assert!(e.what.to_lowercase().contains(words), "{trip}: {e:?}");
    }
}

#[test]
fn a_division_of_whole_numbers_is_seen() {
    for (trip, divides) in [
        ("totalFailures / requests > 0.5", true),
        ("double(totalFailures) / double(requests) > 0.5", false),
        ("totalFailures * 100 / requests > 50", false),
        ("consecutiveFailures > 5", false),
    ] {
        assert_eq!(Trip::parse(trip).expect(trip).divides_whole(), divides, "{trip}");
    }
}
