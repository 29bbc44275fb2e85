//! The page of `kubectl learnflow ui`, in a real Chromium.
//!
//! `cargo test -p learnflow-tests --test page -- --ignored --nocapture pictures` draws those of docs/events.md.

#![cfg(target_os = "linux")]

mod story;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{
    browser::Browser,
    process::{Folder, Process},
};
use serde::Deserialize;
use story::Story;

/// What must never happen, beside what was seen.
#[derive(Debug, Deserialize)]
struct Seen<T> {
    never: Never,
    result: T,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Never {
    /// Requests to anything but this machine.
    outside: Vec<String>,
    /// Of the page's own security policy.
    violations: Vec<String>,
    errors: Vec<String>,
    dialogs: u64,
}

#[derive(Debug, Deserialize)]
struct Shown {
    events: String,
    failed: String,
    notes: String,
    rows: Vec<Vec<String>>,
    list: Vec<Vec<String>>,
    topics: Vec<String>,
    services: Vec<String>,
    arrows: usize,
    markup: usize,
    #[serde(default)]
    states: Vec<String>,
}

/// The plugin with a page of one log.
struct Ui {
    url: String,
    _plugin: Process,
    folder: Folder,
}

fn plugin() -> Result<Command> {
    let path: PathBuf = std::env::var_os("LEARNFLOW_TEST_PLUGIN")
        .context("LEARNFLOW_TEST_PLUGIN is not set")?
        .into();
    let mut command = Command::new(path);
    command.env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    Ok(command)
}

impl Ui {
    fn of(log: &str, arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new()?;
        let file = folder.path().join("sidecars.log");
        fs::write(&file, log)?;
        let mut command = plugin()?;
        command.arg("ui").arg("--file").arg(&file).args(arguments);
        let plugin = Process::start("the plugin", &mut command, folder.path())?;
        let url = plugin.wait("address", || plugin.output().lines().next().map(str::to_owned))?;
        Ok(Self {
            url,
            _plugin: plugin,
            folder,
        })
    }

    fn see<T: for<'a> Deserialize<'a>>(&self, case: &str, arguments: &[&str]) -> Result<T> {
        see(&Browser::find()?, case, &self.url, arguments)
    }
}

fn see<T: for<'a> Deserialize<'a>>(browser: &Browser, case: &str, url: &str, arguments: &[&str]) -> Result<T> {
    let seen: Seen<T> = browser.see(case, &[&[url], arguments].concat())?;
    ensure!(seen.never == Never::default(), "{case}: {:?}", seen.never);
    Ok(seen.result)
}

/// With commas between thousands.
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or(u64::MAX)
}

/// `course-agent →`, `→ user-progress`.
fn from_to(cell: &str) -> (&str, &'static str) {
    match cell.strip_prefix("→ ") {
        Some(service) => (service, "deliver"),
        None => (cell.trim_end_matches(" →"), "publish"),
    }
}

/// The page's table is what was written, to the event.
fn is_the_truth(shown: &Shown, story: &Story) {
    assert_eq!(
        (number(&shown.events), number(&shown.failed)),
        (story.events(), story.failed())
    );
    let rows: BTreeMap<_, _> = shown
        .rows
        .iter()
        .map(|row| {
            let (service, dir) = from_to(&row[1]);
            let retries = if dir == "deliver" { number(&row[9]) } else { 0 };
            (
                (row[0].clone(), service.to_owned(), dir),
                (number(&row[2]), row[4].clone(), retries),
            )
        })
        .collect();
    let truth: BTreeMap<_, _> = story
        .truth
        .iter()
        .map(|(flow, counts)| {
            let share = (counts.ok as f64 / counts.events as f64 * 10_000.0).floor() / 100.0;
            let topic = flow.0.replace('\u{202e}', "\u{fffd}");
            (
                (topic, flow.1.clone(), flow.2),
                (counts.events, format!("{share:.2}%"), counts.retries),
            )
        })
        .collect();
    assert_eq!(rows, truth);
}

#[test]
fn the_numbers_are_the_truth() -> Result<()> {
    let story = Story::of(120, 100);
    let ui = Ui::of(&story.log(), &[])?;
    let shown: Shown = ui.see("look", &[])?;
    is_the_truth(&shown, &story);
    assert_eq!(
        (shown.topics.len(), shown.arrows, shown.notes.as_str()),
        (7, story.truth.len(), "")
    );
    // The same as in the terminal: rates and times of the same events, written in the same way.
    let mut top = plugin()?;
    top.args(["top", "--sort", "name", "--file"])
        .arg(ui.folder.path().join("sidecars.log"));
    let table = String::from_utf8(top.output()?.stdout)?;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of_page: Vec<Vec<&str>> = shown
        .rows
        .iter()
        .map(|row| {
            let ((service, dir), cell) = (from_to(&row[1]), |at: usize| row[at].as_str());
            let figures = [4, 3, 5, 6, 7, 8, 9, 10].map(cell);
            [&[cell(0), service, dir], &figures[..]].concat()
        })
        .collect();
    assert_eq!(of_page, lines);
    Ok(())
}

#[test]
fn a_hostile_name_stays_text() -> Result<()> {
    const NAME: &str = "<img src=x onerror=alert(1)>\"';</script><b>&amp;\u{202e}txt";
    let mut story = Story::of(2, 10);
    for at in 0..5 {
        story.line(
            at,
            "evil<b>x</b>",
            "publish",
            NAME,
            r#""outcome":"success","status":204,"us":100"#,
        );
    }
    let ui = Ui::of(&story.log(), &[])?;
    let shown: Shown = ui.see("look", &[])?;
    is_the_truth(&shown, &story);
    assert_eq!(shown.markup, 0, "no element is made of a name");
    // What would turn the reading direction is shown.
    let name = NAME.replace('\u{202e}', "\u{fffd}");
    assert!(shown.topics.contains(&name), "{:?}", shown.topics);
    assert!(
        shown.services.iter().any(|service| service == "evil<b>x</b>"),
        "{:?}",
        shown.services
    );
    assert!(
        shown
            .list
            .iter()
            .any(|line| line[1] == format!("evil<b>x</b> → {name}")),
        "{:?}",
        shown.list
    );
    Ok(())
}

#[test]
fn all_of_it_works_by_keyboard() -> Result<()> {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Steps {
        found: Vec<String>,
        list: String,
        line: String,
        facts: String,
        bars: usize,
        detail: String,
        back: String,
        not_ok: Vec<String>,
        topic: String,
        chosen: String,
        ways: Vec<String>,
    }
    let story = Story::of(60, 40);
    let steps: Steps = Ui::of(&story.log(), &[])?.see("keyboard", &[])?;
    assert!(
        steps.found.iter().all(|topic| topic == "quiz.answered") && steps.found.len() == 2,
        "{steps:?}"
    );
    assert_eq!((steps.list.as_str(), steps.detail.as_str()), ("list-rows", "detail"));
    // One way has its publish and its delivery at least.
    assert!(steps.bars >= 2 && steps.facts.contains("trace"), "{steps:?}");
    assert_eq!(steps.back, steps.line, "back to where one was");
    assert!(
        !steps.not_ok.is_empty() && steps.not_ok.iter().all(|outcome| outcome != "ok"),
        "{steps:?}"
    );
    assert_eq!(steps.chosen, steps.topic);
    assert!(
        !steps.ways.is_empty() && steps.ways.iter().all(|way| way.contains(&steps.topic)),
        "{steps:?}"
    );
    Ok(())
}

#[test]
fn it_can_be_read_in_light_and_in_dark() -> Result<()> {
    #[derive(Debug, Deserialize)]
    struct Scheme {
        paper: f64,
        contrasts: Vec<f64>,
    }
    let schemes: Vec<Scheme> = Ui::of(&Story::of(60, 40).log(), &[])?.see("colours", &[])?;
    assert!(schemes[0].paper > 0.8 && schemes[1].paper < 0.05, "{schemes:?}");
    for scheme in &schemes {
        // WCAG 2, AA.
        assert!(scheme.contrasts.iter().all(|contrast| *contrast >= 4.5), "{schemes:?}");
    }
    Ok(())
}

#[test]
fn a_connection_that_is_cut_is_made_again_and_nothing_is_missed_or_counted_twice() -> Result<()> {
    let story = Story::of(12, 100);
    let ui = Ui::of(&story.log(), &["--speed", "1"])?;
    let seen: Seen<Shown> = Browser::find()?.see("cut", &[&ui.url])?;
    // The browser says of a connection that is cut that it is; nothing else.
    assert_eq!(
        (seen.never.outside.len(), seen.never.violations.len()),
        (0, 0),
        "{:?}",
        seen.never
    );
    let lost = seen.result.states.iter().filter(|state| *state == "lost").count();
    assert!(lost >= 2, "{:?}", seen.result.states);
    is_the_truth(&seen.result, &story);
    Ok(())
}

#[test]
fn a_thousand_events_a_second_are_shown() -> Result<()> {
    #[derive(Debug, Deserialize)]
    struct Frames {
        events: u64,
        frames: u64,
        p50: f64,
        p95: f64,
        p99: f64,
        most: f64,
    }
    let story = Story::of(30, 1000);
    let ui = Ui::of(&story.log(), &["--speed", "1"])?;
    let seen: Frames = ui.see("frames", &["5000"])?;
    let Frames {
        events,
        frames,
        p50,
        p95,
        p99,
        most,
    } = seen;
    println!(
        "{frames} frames in 5 s while 1,000 events/s came; a frame took {p50:.1} ms (p95 {p95:.1}, p99 {p99:.1}, the longest \
         {most:.1})"
    );
    // A machine may be slow; a page that stands still, or falls behind, is wrong on any.
    assert!(events >= 3000 && frames >= 50, "{events} events, {frames} frames");
    Ok(())
}

#[test]
fn an_exported_page_shows_the_same_without_a_server() -> Result<()> {
    let story = Story::of(60, 100);
    let folder = Folder::new()?;
    let (log, page) = (folder.path().join("sidecars.log"), folder.path().join("page.html"));
    fs::write(&log, story.log())?;
    let mut export = plugin()?;
    export.args(["ui", "--file"]).arg(&log).arg("--export").arg(&page);
    let output = export.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Shown = see(&Browser::find()?, "look", &format!("file://{}", page.display()), &[])?;
    is_the_truth(&shown, &story);
    Ok(())
}

#[test]
#[ignore = "draws the pictures of docs/events.md"]
fn pictures() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let log = Story::of(60, 60).log();
    for scheme in ["dark", "light"] {
        let ui = Ui::of(&log, &["--speed", "4"])?;
        let file = docs.join(format!("ui-{scheme}.png"));
        let file = file.to_string_lossy();
        let steps: &[&str] = if scheme == "dark" {
            &["6000"]
        } else {
            // One that was tried again, and its way.
            &["17000", "f", "#list-rows li:nth-child(4) button"]
        };
        let _: serde_json::Value = ui.see("picture", &[&[&*file, scheme], steps].concat())?;
    }
    Ok(())
}
