use super::*;

/// As the server sends it: one event a second, with what is said of it.
fn log(events: &[(&str, &str, &str)]) -> String {
    let line = |(second, (app, dir, rest)): (usize, &(&str, &str, &str))| {
        let msg = format!("{{\"lf\":1,\"dir\":\"{dir}\",\"pubsub\":\"p\",{rest}}}").replace('"', "\\\"");
        format!(
            "{{\"app_id\":\"{app}\",\"instance\":\"{app}-1\",\"msg\":\"{msg}\",\"time\":\"2026-01-15T10:00:{second:02}Z\"}}\n"
        )
    };
    events.iter().enumerate().map(line).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A lesson that is taken at the third attempt, and a quiz that nobody has to do with.
fn lesson() -> Live {
    let mut live = Live::new(0);
    let trace = format!(r#","trace":"{TRACE}""#);
    let publish = format!(r#""topic":"lesson.generated","outcome":"success","us":2000{trace}"#);
    let deliver = |outcome: &str| {
        format!(
            r#""topic":"lesson.generated","outcome":"{outcome}","us":1000,"partition":2,"offset":7,"age_ms":500{trace}"#
        )
    };
    live.read(
        log(&[
            ("course-agent", "publish", &publish),
            ("user-progress", "deliver", &deliver("retry")),
            (
                "frontend",
                "publish",
                r#""topic":"quiz.answered","outcome":"error","status":500"#,
            ),
            ("user-progress", "deliver", &deliver("retry")),
            ("user-progress", "deliver", &deliver("success")),
        ])
        .as_bytes(),
    );
    live
}

#[test]
fn figures_are_of_all_and_rows_of_what_is_searched() {
    let live = lesson();
    let view = live.view(0.0, "QUIZ front");
    assert_eq!((view.read, view.events, view.failed), (5, 5, 3));
    let rows: Vec<_> = view
        .rows
        .iter()
        .map(|row| (&*row.topic, &*row.service, row.dir))
        .collect();
    assert_eq!(rows, [("quiz.answered", "frontend", "publish")]);
    assert_eq!(live.view(0.0, "").rows.len(), 3);
    let names = |nodes: &[crate::graph::Node]| nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&view.graph.publishers), ["course-agent", "frontend"]);
    assert_eq!(names(&view.graph.topics), ["lesson.generated", "quiz.answered"]);
    assert_eq!(names(&view.graph.receivers), ["user-progress"]);
    let arrows: Vec<_> = view
        .graph
        .arrows
        .iter()
        .map(|a| (a.number, a.delivers, a.service, a.topic, a.failed))
        .collect();
    assert_eq!(arrows, [(0, false, 0, 0, 0), (1, true, 0, 0, 2), (2, false, 1, 1, 1)]);
}

#[test]
fn pulses_are_told_once() {
    let mut live = lesson();
    assert_eq!(live.pulses(), [0, 1, 0, 1, 1, 2, 2, 0, 1]);
    assert_eq!(live.pulses(), [0; 0]);
}

#[test]
fn the_newest_come_first_and_can_be_chosen() {
    let live = lesson();
    let numbers = |topic: &str, search: &str, failed: bool, most: usize| -> Vec<u64> {
        live.events(topic, search, failed, most)
            .iter()
            .map(|seen| seen.number)
            .collect()
    };
    assert_eq!(numbers("", "", false, 10), [4, 3, 2, 1, 0]);
    assert_eq!(numbers("lesson.generated", "", true, 10), [3, 1]);
    assert_eq!(numbers("", "4bf92f retry", false, 1), [3]);
    assert_eq!(numbers("no such topic", "", false, 10), [0; 0]);
}

#[test]
fn a_timeline_has_the_publish_and_each_attempt() {
    let timeline = lesson().timeline(3).expect("it is kept");
    let steps: Vec<_> = timeline
        .steps
        .iter()
        .map(|step| (step.seen.dir, step.seen.outcome, step.found, step.attempt))
        .collect();
    assert_eq!(
        steps,
        [
            ("publish", "success", Found::Trace, None),
            ("deliver", "retry", Found::Message, Some(1)),
            ("deliver", "retry", Found::Itself, Some(2)),
            ("deliver", "success", Found::Message, Some(3)),
        ]
    );
    let first = &timeline.steps[1];
    assert_eq!((first.end - first.begin, first.kafka), (1.0, Some(first.begin - 500.0)));
    assert!(lesson().timeline(5).is_none());
}

#[test]
fn what_was_missed_is_said() {
    let mut live = lesson();
    live.read(b"{\"app_id\":\"cut");
    live.resume(5);
    assert_eq!(live.view(0.0, "").missed, 0);
    live.resume(25);
    let mut late = Live::new(0);
    late.resume(25);
    assert_eq!((late.view(0.0, "").missed, late.next()), (0, 25));
    live.read(log(&[("a", "publish", r#""topic":"t","outcome":"success""#)]).as_bytes());
    assert_eq!(
        (live.view(0.0, "").missed, live.next(), live.view(0.0, "").broken),
        (20, 26, 0)
    );
    assert!(live.timeline(2).is_none());
    assert_eq!(live.timeline(25).expect("it is kept").event.topic, "t");
}

#[test]
fn made_up_names_do_not_make_it_slow() {
    let mut live = Live::new(0);
    let rest: Vec<String> = (0..TOPICS + 100)
        .map(|number| format!(r#""topic":"made-up-{number}","outcome":"success""#))
        .collect();
    for rest in &rest {
        live.read(log(&[("a", "publish", rest)]).as_bytes());
    }
    let view = live.view(0.0, "");
    assert_eq!(
        (view.events as usize, view.rows.len() + view.more),
        (TOPICS + 100, TOPICS + 1)
    );
    assert_eq!(view.rows.len(), ROWS);
    assert_eq!(live.events("(others)", "", false, 1000).len(), 100);
    assert_eq!(view.graph.more, TOPICS + 1 - view.graph.topics.len());
}

#[test]
fn only_the_last_are_kept() {
    let mut live = Live::new(0);
    let line = log(&[("a", "publish", r#""topic":"t","outcome":"success""#)]);
    for _ in 0..KEPT + 10 {
        live.read(line.as_bytes());
    }
    assert_eq!((live.kept.len(), live.view(0.0, "").events as usize), (KEPT, KEPT + 10));
    assert!(live.timeline(9).is_none() && live.timeline(10).is_some());
}
