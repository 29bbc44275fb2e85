use super::*;
use crate::cli::TopOf;
use crate::{
    commands::top::{
        lag::{Lags, tests::sample},
        state::{
            Key,
            tests::{DELIVER, Of, PUBLISH, more, seen},
        },
    },
    kafka::Component,
    problem::Problem,
    testing::same_as_file,
};
use learnflow_flow::{Filter, Names};
use ratatui::{Terminal, backend::TestBackend};

fn picture(state: &mut State, width: u16, height: u16) -> String {
    state.fit(page(state, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal
        .draw(|frame| draw(state, false, frame.buffer_mut()))
        .expect("drawn");
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let cells = (0..width).map(|x| &buffer[(x, y)]);
        let line: String = cells.clone().map(|cell| cell.symbol()).collect();
        let chosen = cells.clone().any(|cell| cell.modifier.contains(Modifier::REVERSED));
        let line = format!("{}{}", if chosen { ">" } else { " " }, line);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn lessons() -> (State, Names) {
    let deliver = |partition, times| Of {
        partition: Some(partition),
        times,
        ..DELIVER
    };
    seen(
        TopOf::Topics,
        &[
            PUBLISH,
            deliver(0, 6),
            deliver(3, 2),
            Of {
                outcome: "retry",
                ..deliver(3, 1)
            },
            Of {
                topic: "user.signed-up.with.a.name.that.goes.on",
                times: 3,
                us: 70_000,
                ..PUBLISH
            },
            Of {
                topic: "evil\\u001b[2J\\u202e.topic",
                times: 1,
                ..PUBLISH
            },
        ],
    )
}

fn pressed(keys: &[Key]) -> (State, Names) {
    let (mut state, names) = lessons();
    for key in keys {
        state.key(*key, &names);
    }
    (state, names)
}

/// All pictures of a kind in one file, each with its size above it.
fn same(name: &str, state: &mut State, sizes: &[(u16, u16)]) {
    let pictures = sizes.iter().map(|(width, height)| {
        let picture = picture(state, *width, *height);
        assert!(
            picture.lines().all(|line| line.width() <= usize::from(*width) + 1),
            "{picture}"
        );
        format!("--- {width}×{height}\n{picture}")
    });
    same_as_file(&format!("tests/cases/top/{name}.txt"), &pictures.collect::<String>());
}

#[test]
fn all_topics_on_terminals_of_many_sizes() {
    let sizes = [
        (130, 10),
        (80, 10),
        (60, 8),
        (40, 10),
        (24, 6),
        (12, 4),
        (10, 3),
        (6, 2),
        (1, 1),
    ];
    same("all", &mut lessons().0, &sizes);
}

#[test]
fn a_topic_and_its_partitions() {
    same(
        "one",
        &mut pressed(&[Key::Enter, Key::Down, Key::Down]).0,
        &[(110, 9), (40, 10)],
    );
}

#[test]
fn the_last_events() {
    let keys = [Key::Enter, Key::Down, Key::Down, Key::Down, Key::Enter];
    same("events", &mut pressed(&keys).0, &[(110, 9), (40, 10)]);
}

#[test]
fn what_is_typed_is_seen() {
    let keys = [Key::Char('/'), Key::Char('l'), Key::Char('e'), Key::Char('s')];
    same("typing", &mut pressed(&keys).0, &[(80, 10), (40, 2)]);
    let keys = [&keys[..], &[Key::Char('?'), Key::Enter]].concat();
    same("nothing", &mut pressed(&keys).0, &[(80, 8)]);
}

#[test]
fn nothing_yet_and_nothing_at_all() {
    let (mut state, _) = seen(TopOf::Services, &[]);
    same("empty", &mut state, &[(80, 8), (40, 10)]);
    state.ended = true;
    state.paused = true;
    same("ended", &mut state, &[(80, 8)]);
}

#[test]
fn what_is_left_out_is_said() {
    let (mut state, mut names) = lessons();
    state.note("Namespace one is left out: you may not \u{1b}[31mread logs there".into());
    state.note("Namespace two is left out: you may not read logs there".into());
    same("notes", &mut state, &[(80, 10), (80, 5)]);
    state.help = true;
    same("help", &mut state, &[(100, 20), (40, 6)]);
    state.help = false;
    more(&mut state, &mut names, &[]);
}

#[test]
fn lag_has_a_column_where_it_is_known() {
    let (mut state, mut names) = lessons();
    let samples = [
        ("user-progress", 0, 1_200.0),
        ("user-progress", 3, 0.0),
        ("user-progress", 4, 7.0),
        ("stalled", 0, 30.0),
    ];
    let samples = samples.map(|(group, partition, lag)| sample("p", group, "lesson.generated", partition, lag));
    let component = Component::read("p", &serde_json::json!({}));
    state.told(Ok(Lags::new("learnflow", vec![component], &samples, Filter::default())));
    let last = state.last();
    state.refresh(last, &mut names);
    same("lag", &mut state, &[(130, 9), (80, 9), (40, 9)]);
    state.key(Key::Enter, &names);
    same("lag-of-partitions", &mut state, &[(110, 11)]);
    for _ in 0..3 {
        state.told(Err(Problem::new("Cannot ask Prometheus in learnflow-observability.")));
    }
    assert_eq!(state.notes.len(), 1, "said once");
    state.refresh(last, &mut names);
    assert!(!picture(&mut state, 130, 6).contains("1207"));
}

#[test]
fn a_hostile_name_stays_text() {
    let text = picture(&mut lessons().0, 130, 10);
    assert!(text.contains(r"evil\u{1b}[2J\u{202e}.topic"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

#[test]
fn no_size_comes_to_harm() {
    let states = [
        lessons().0,
        pressed(&[Key::Enter]).0,
        pressed(&[Key::Enter, Key::Enter]).0,
        pressed(&[Key::Char('?')]).0,
        pressed(&[Key::Char('/'), Key::Char('x')]).0,
    ];
    for mut state in states {
        state.note("something".into());
        for width in (0..30).chain([79, 200]) {
            for height in 0..9 {
                picture(&mut state, width, height);
            }
        }
    }
}
