use super::*;
use learnflow_flow::Reader;

/// What a test has seen of a topic: who, how often, which outcome, which partition.
pub(in super::super) struct Of {
    pub(in super::super) app: &'static str,
    pub(in super::super) topic: &'static str,
    pub(in super::super) times: u64,
    pub(in super::super) us: u64,
    /// Of a delivery.
    pub(in super::super) partition: Option<u32>,
    pub(in super::super) outcome: &'static str,
}

pub(in super::super) const PUBLISH: Of = Of {
    app: "course-agent",
    topic: "lesson.generated",
    times: 10,
    us: 2_000,
    partition: None,
    outcome: "success",
};

pub(in super::super) const DELIVER: Of = Of {
    app: "user-progress",
    us: 1_000,
    partition: Some(0),
    ..PUBLISH
};

/// Sees these within ten seconds, and looks.
pub(in super::super) fn seen(of: TopOf, events: &[Of]) -> (State, Names) {
    let (mut state, mut names) = (State::new(of, Sort::Rate, Window::Seconds(60)), Names::default());
    more(&mut state, &mut names, events);
    (state, names)
}

pub(in super::super) fn more(state: &mut State, names: &mut Names, events: &[Of]) {
    let (mut log, mut offset) = (String::new(), 0);
    for of in events {
        for time in 0..of.times {
            let dir = if of.partition.is_some() { "deliver" } else { "publish" };
            let spot = of
                .partition
                .map(|number| format!(",\"partition\":{number},\"offset\":{offset},\"age_ms\":40"));
            let record = format!(
                "{{\"lf\":1,\"dir\":\"{dir}\",\"pubsub\":\"p\",\"topic\":\"{}\",\"outcome\":\"{}\",\"status\":200,\"us\":{}{}}}",
                of.topic,
                of.outcome,
                of.us,
                spot.unwrap_or_default()
            );
            let record = record.replace('\\', "\\\\").replace('"', "\\\"");
            log.push_str(&format!(
                "time=\"2026-01-15T10:00:{:02}.{offset:03}Z\" level=info msg=\"{record}\" app_id={} instance=x-1\n",
                time * 10 / of.times,
                of.app
            ));
            offset += 1;
        }
    }
    let mut reader = Reader::default();
    reader.read(log.as_bytes(), names, |event| {
        state.see(&event);
    });
    assert_eq!(reader.counts().broken, 0);
    let last = state.last();
    state.refresh(last, names);
    state.fit(10);
}

/// Topics of the rows, in their order.
fn topics(state: &State) -> Vec<&str> {
    let row = |item: &Item| match *item {
        Item::Row(row) => state.figures.get(row).map(|row| row.topic.as_str()),
        _ => None,
    };
    state.items.iter().filter_map(row).collect()
}

fn press(state: &mut State, names: &Names, keys: &str) {
    for c in keys.chars() {
        let key = match c {
            '↓' => Key::Down,
            '↑' => Key::Up,
            '→' => Key::Right,
            '←' => Key::Left,
            '⏎' => Key::Enter,
            '⎋' => Key::Back,
            '⌫' => Key::Erase,
            c => Key::Char(c),
        };
        assert!(state.key(key, names), "{c} ends it");
    }
}

fn three() -> (State, Names) {
    let of = |topic, times, us| Of {
        topic,
        times,
        us,
        ..PUBLISH
    };
    seen(TopOf::Topics, &[of("a", 30, 1), of("b", 20, 2), of("c", 10, 3)])
}

#[test]
fn rows_are_sorted_by_the_column_that_is_chosen() {
    let (mut state, names) = three();
    assert_eq!(topics(&state), ["a", "b", "c"]);
    press(&mut state, &names, "r");
    assert_eq!(topics(&state), ["c", "b", "a"]);
    // The next column is P50.
    press(&mut state, &names, "r→");
    assert_eq!((topics(&state), state.sort), (vec!["c", "b", "a"], Sort::P50));
    press(&mut state, &names, "←←←");
    assert_eq!(state.sort, Sort::Name);
    press(&mut state, &names, "←");
    assert_eq!(state.sort, Sort::Skew, "behind the first comes the last");
}

#[test]
fn what_is_chosen_stays_chosen_wherever_it_moves() {
    let (mut state, mut names) = three();
    press(&mut state, &names, "↓");
    assert_eq!(state.level.at, 1);
    // `b` comes first now.
    more(
        &mut state,
        &mut names,
        &[Of {
            topic: "b",
            times: 50,
            ..PUBLISH
        }],
    );
    assert_eq!((topics(&state), state.level.at), (vec!["b", "a", "c"], 0));
    press(&mut state, &names, "r");
    assert_eq!(state.level.at, 2);
}

#[test]
fn who_has_chosen_nothing_sees_what_is_first() {
    let (mut state, mut names) = three();
    more(
        &mut state,
        &mut names,
        &[Of {
            topic: "c",
            times: 90,
            ..PUBLISH
        }],
    );
    assert_eq!((topics(&state), state.level.at), (vec!["c", "a", "b"], 0));
}

#[test]
fn a_filter_leaves_the_names_with_it_in_them() {
    let (mut state, names) = seen(
        TopOf::Topics,
        &[
            PUBLISH,
            DELIVER,
            Of {
                topic: "quiz",
                app: "quiz-maker",
                ..PUBLISH
            },
        ],
    );
    press(&mut state, &names, "/QUIX⌫");
    assert!(state.typing);
    assert_eq!(topics(&state), ["quiz"]);
    // Letters are letters while it is typed.
    press(&mut state, &names, "⌫⌫⌫r-P");
    assert_eq!(topics(&state), ["lesson.generated"], "by the service: user-progress");
    press(&mut state, &names, "⏎");
    assert!(!state.typing);
    press(&mut state, &names, "⎋");
    assert_eq!(state.items.len(), 3);
    assert!(!state.key(Key::Char('q'), &names));
}

#[test]
fn from_a_topic_to_its_partitions_to_their_events_and_back() {
    let deliver = |partition, times| Of {
        partition: Some(partition),
        times,
        ..DELIVER
    };
    let (mut state, names) = seen(
        TopOf::Topics,
        &[
            PUBLISH,
            deliver(0, 6),
            deliver(3, 2),
            Of {
                topic: "other",
                times: 99,
                ..PUBLISH
            },
        ],
    );
    press(&mut state, &names, "↓⏎");
    assert_eq!(topics(&state), ["lesson.generated"; 2]);
    assert_eq!(state.path().collect::<Vec<_>>(), ["topics", "lesson.generated"]);
    let (row, partition) = (1, 3);
    assert_eq!(state.items.last(), Some(&Item::Partition(row + 1, partition)));
    press(&mut state, &names, "↓↓↓⏎");
    assert_eq!(state.lines.len(), 2);
    assert!(
        state
            .lines
            .iter()
            .all(|(line, _)| line.contains("lesson.generated[3]@")),
        "{:?}",
        state.lines
    );
    press(&mut state, &names, "⏎⎋");
    assert_eq!(state.level.at, 3, "where one was");
    press(&mut state, &names, "↑↑↑⏎");
    assert_eq!(state.lines.len(), 10);
    press(&mut state, &names, "⎋⎋⎋");
    assert_eq!((state.level.place, state.items.len()), (Place::All, 3));
}

#[test]
fn a_service_has_its_topics() {
    let (mut state, names) = seen(
        TopOf::Services,
        &[
            PUBLISH,
            Of {
                topic: "other",
                ..PUBLISH
            },
            DELIVER,
        ],
    );
    press(&mut state, &names, "⏎");
    assert_eq!(topics(&state), ["lesson.generated", "other"]);
    press(&mut state, &names, "↓⏎");
    assert_eq!(
        state.path().collect::<Vec<_>>(),
        ["services", "course-agent", "other publish"]
    );
}

#[test]
fn a_pause_holds_the_figures_and_counts_on() {
    let (mut state, mut names) = three();
    press(&mut state, &names, " ");
    more(&mut state, &mut names, &[Of { topic: "d", ..PUBLISH }]);
    assert_eq!(topics(&state), ["a", "b", "c"]);
    press(&mut state, &names, " ");
    let last = state.last();
    state.refresh(last, &mut names);
    assert_eq!(topics(&state).len(), 4);
}

#[test]
fn the_chosen_line_is_always_seen() {
    let topics: Vec<String> = (0..50).map(|number| format!("t{number:02}")).collect();
    let events: Vec<Of> = topics
        .into_iter()
        .map(|topic| Of {
            topic: topic.leak(),
            ..PUBLISH
        })
        .collect();
    let (mut state, names) = seen(TopOf::Topics, &events);
    for (key, at, top) in [
        (Key::Last, 49, 40),
        (Key::PageUp, 39, 39),
        (Key::Up, 38, 38),
        (Key::Down, 39, 38),
        (Key::PageDown, 49, 40),
        (Key::Down, 49, 40),
        (Key::First, 0, 0),
    ] {
        state.key(key, &names);
        assert_eq!((state.level.at, state.level.top), (at, top), "{key:?}");
    }
    state.key(Key::Last, &names);
    state.fit(3);
    assert_eq!(state.level.top, 47);
    state.fit(100);
    assert_eq!(state.level.top, 0);
}

#[test]
fn events_and_notes_that_are_kept_are_bounded() {
    let (mut state, names) = seen(
        TopOf::Topics,
        &[Of {
            times: 1_000,
            ..PUBLISH
        }],
    );
    press(&mut state, &names, "⏎⏎");
    assert_eq!(state.lines.len(), RECENT);
    for number in 0..1_000 {
        state.note(number.to_string());
    }
    assert_eq!(
        (state.notes.len(), state.notes.back().map(String::as_str)),
        (NOTES, Some("999"))
    );
}

/// Whatever is pressed, in whatever order.
#[test]
fn any_keys_come_to_no_harm() {
    proptest::proptest!(|(keys in "[↓↑→←⏎⎋⌫rjkgG /?x<>]{0,60}", page in 0_usize..5)| {
        let (mut state, mut names) = seen(TopOf::Topics, &[PUBLISH, DELIVER, Of { partition: Some(2), ..DELIVER }]);
        state.fit(page);
        press(&mut state, &names, &keys);
        let last = state.last();
        state.refresh(last, &mut names);
        assert!(state.items.is_empty() || state.level.at < state.items.len());
        assert!(state.level.top <= state.level.at);
    });
}

/// Without lag there is no such column, and nobody sorts by what is not to be seen.
#[test]
fn a_column_that_is_not_there_is_passed_over() {
    let (mut state, names) = seen(TopOf::Topics, &[PUBLISH, DELIVER]);
    let mut seen = Vec::new();
    for _ in Sort::value_variants() {
        press(&mut state, &names, "→");
        seen.push(state.sort);
    }
    assert!(!seen.contains(&Sort::Lag), "{seen:?}");
    assert!(seen.contains(&Sort::Age) && seen.contains(&Sort::Retries), "{seen:?}");
}
