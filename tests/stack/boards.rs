//! The boards: read with Grafana's own schema, as Grafana itself cannot be had here; and what they ask about events, without a
//! cluster. The tests on a cluster ask everything.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use learnflow_boards::{Boards, chosen, everything};
use learnflow_tests::{boards, process::Folder};

use crate::{
    gateway::Gateway,
    otlp::{Record, send},
    prometheus::Prometheus,
    shipped::root,
    valid::judge,
};

fn read(files: &[PathBuf]) -> (bool, String) {
    judge(
        Command::new("go")
            .args(["run", "."])
            .args(files)
            .current_dir(root().join("tests/schema"))
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off"),
    )
}

#[test]
fn the_boards_are_what_grafanas_schema_says() {
    let entries = fs::read_dir(root().join("dashboards/grafana")).expect("the boards");
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path().canonicalize().expect("a path"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    let (good, said) = read(&files);
    assert!(good, "{said}");
    let folder = Folder::new().expect("a folder");
    let broken = folder.path().join("broken.json");
    let overview = root().join("dashboards/grafana/learnflow-overview.json");
    let text = fs::read_to_string(overview).expect("a board");
    fs::write(&broken, text.replace("reduceOptions", "reduceOption")).expect("a file");
    let (good, said) = read(&[broken]);
    assert!(!good && said.contains("reduceOption"), "a wrong one is refused: {said}");
}

#[test]
fn what_they_ask_about_events_has_an_answer() {
    let all = Boards::read().expect("the boards");
    let gateway = Gateway::start(|config| config);
    let prometheus = Prometheus::start(&gateway);
    let started = Instant::now();
    loop {
        send(gateway.otlp, "course-agent", &[Record::published("lesson.generated")]);
        send(gateway.otlp, "user-progress", &[Record::delivered("lesson.generated")]);
        let (asked, wrong) = about_events(&all, &prometheus);
        assert!(asked >= 25, "{asked} queries");
        if wrong.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{}", wrong.join("\n"));
        thread::sleep(Duration::from_secs(2));
    }
}

/// How many queries are about events alone, and which of their answers are wrong.
fn about_events(all: &Boards, prometheus: &Prometheus) -> (usize, Vec<String>) {
    let prometheus = prometheus.client();
    let (mut asked, mut wrong) = (0, Vec::new());
    let panels = all.boards.iter().flat_map(|board| board.panels());
    for (panel, query) in panels.flat_map(|panel| panel.queries.iter().map(move |query| (panel, query))) {
        let asks = |of: &str| query.expr.contains(of);
        // There is no Kafka here.
        if !(asks("learnflow:topic_") || asks("learnflow:events:")) || asks("learnflow:kafka_") {
            continue;
        }
        asked += 1;
        let expr = chosen(&query.expr, &all.variables, everything);
        if let Some(why) = boards::wrong(&prometheus, query, &expr).expect("an answer") {
            wrong.push(format!("{} / {}: {why}", panel.title, query.name));
        }
    }
    (asked, wrong)
}
