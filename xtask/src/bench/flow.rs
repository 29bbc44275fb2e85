//! How fast events are read and added up, against jq; how much memory that takes; and how long an event takes to the terminal.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use learnflow_flow::Time;
use learnflow_tests::{Frontend, Target};
use serde_json::Value;

use super::{
    figure::{Figure, TIMES},
    plugin::{installed, time},
    status::peak_of,
};
use crate::artifacts::{self, step, target_folder};

const ROUNDS: usize = 5;
/// A block of log that is written again and again.
const BLOCK: usize = 20_000;
const RECORDS: usize = 2_000_000;
const FEW: usize = 1_000_000;
const MANY: usize = 10_000_000;
/// jq takes seconds for these.
const FOR_JQ: usize = 200_000;
const LESSONS: usize = 300;
/// As the kernel counts processor time for programs: `getconf CLK_TCK` on every Linux.
const TICKS: f64 = 100.0;

/// Counts by topic, service, direction and outcome: the question to jq.
const COUNTS: &str = r#"reduce (inputs | select(.msg | startswith("{\"lf\":1,\"dir\":")) | .app_id as $app | .msg | fromjson
  | "\(.topic) \($app) \(.dir) \(.outcome)") as $row ({}; .[$row] += 1)"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Records a second of processor time, reading, printing and all threads of the plugin together: what one core does.
pub fn records_per_second() -> Result<Vec<Figure>> {
    let block = log(BLOCK, Format::Text);
    let rounds = (0..ROUNDS).map(|_| {
        let mut top = Top::start()?;
        top.write(&block, RECORDS / BLOCK)?;
        let seconds = top.processor_time()?;
        top.end(RECORDS)?;
        Ok(RECORDS as f64 / seconds)
    });
    let rounds = step("adding up records", || rounds.collect::<Result<_>>())?;
    Ok(vec![Figure::median("flow.records_per_s", rounds, "/s").at_least(1e6)])
}

/// The same file and the same question: events by topic, service and direction. The plugin answers with quantiles, too.
pub fn against_jq() -> Result<Vec<Figure>> {
    let plugin = artifacts::plugin()?;
    let file = target_folder().join("bench-flow.log");
    fs::write(&file, log(FOR_JQ, Format::Json))?;
    let mut top = Command::new(&plugin);
    top.args(["top", "--once", "-o", "json", "--file"]).arg(&file);
    let mut jq = Command::new("jq");
    jq.args(["-n", COUNTS]).arg(&file);
    ensure!(
        by_row(&top.output().context("cannot run the plugin")?.stdout)?
            == by_row(&jq.output().context("cannot run jq: install it")?.stdout)?,
        "the answers differ"
    );
    let rounds = (0..ROUNDS).map(|_| Ok((time(&mut jq)?, time(&mut top)?)));
    let rounds: Vec<(f64, f64)> = step("timing top against jq", || rounds.collect::<Result<_>>())?;
    fs::remove_file(&file)?;
    let ratios = rounds.iter().map(|(jq, ours)| jq / ours).collect();
    let ours = rounds.iter().map(|(_, ours)| ours * 1000.0).collect();
    Ok(vec![
        Figure::median("flow.vs_jq", ratios, TIMES).at_least(10.0),
        Figure::median("flow.vs_jq.ours_ms", ours, "ms"),
    ])
}

/// The most memory that ten million records take, against one million.
pub fn memory() -> Result<Vec<Figure>> {
    let block = log(BLOCK, Format::Text);
    let peak = |records: usize| {
        let mut top = Top::start()?;
        top.write(&block, records / BLOCK)?;
        top.processor_time()?;
        let status = fs::read_to_string(format!("/proc/{}/status", top.child.id()))?;
        top.end(records)?;
        peak_of(&status).context("no VmHWM")
    };
    let few = step("a million records", || peak(FEW))?;
    let many = step("ten million records", || peak(MANY))?;
    Ok(vec![
        Figure::new("flow.memory.10m_vs_1m", many / few, TIMES).at_most(1.1),
        Figure::new("flow.memory.10m.mb", many, "MB"),
    ])
}

/// From the time that a sidecar writes on a record to its line in the terminal, on the lab.
pub fn live_latency() -> Result<Vec<Figure>> {
    let (target, _) = installed()?;
    let mut seconds = step("looking at lessons as they happen", || watched(target))?;
    seconds.sort_by(f64::total_cmp);
    let quantile = |q: f64| seconds[((seconds.len() - 1) as f64 * q).ceil() as usize];
    Ok(vec![
        Figure::new("flow.live_latency.p99_s", quantile(0.99), "s").at_most(1.0),
        Figure::new("flow.live_latency.p50_s", quantile(0.5), "s"),
    ])
}

fn watched(target: &Target) -> Result<Vec<f64>> {
    let mut flow = target.plugin(&["flow", "--follow", "--output=jsonl"]);
    let mut flow = flow.stdout(Stdio::piped()).spawn().context("cannot run the plugin")?;
    let lines = BufReader::new(flow.stdout.take().context("no stdout")?).lines();
    let reader = thread::spawn(move || -> Result<Vec<f64>> {
        // Each lesson is published and delivered.
        let seen = lines.take(2 * LESSONS).map(|line| {
            let line: Value = serde_json::from_str(&line?)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
            let at = line["time"].as_str().and_then(Time::parse).context("no time")?;
            Ok(now - at.0 as f64 / 1e9)
        });
        seen.collect()
    });
    // Until its logs are open.
    thread::sleep(Duration::from_secs(5));
    Frontend::of(target)?.request_lessons(LESSONS)?;
    let begin = SystemTime::now();
    while !reader.is_finished() && begin.elapsed()? < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(100));
    }
    flow.kill()?;
    flow.wait()?;
    let seen = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(
        seen.len() == 2 * LESSONS,
        "{} of {} events were seen",
        seen.len(),
        2 * LESSONS
    );
    Ok(seen)
}

/// `top` that reads a log from its standard input.
struct Top {
    child: Child,
}

impl Top {
    fn start() -> Result<Self> {
        let mut top = Command::new(artifacts::plugin()?);
        top.args(["top", "--once", "-o", "json", "--file", "-"]);
        top.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = top.spawn().context("cannot run the plugin")?;
        Ok(Self { child })
    }

    fn write(&mut self, block: &str, times: usize) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("no stdin")?;
        for _ in 0..times {
            stdin.write_all(block.as_bytes())?;
        }
        Ok(())
    }

    /// Seconds, once it has nothing to do.
    fn processor_time(&self) -> Result<f64> {
        let mut before = -1.0;
        loop {
            let seconds = processor_time(self.child.id())?;
            if seconds == before {
                return Ok(seconds);
            }
            before = seconds;
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn end(mut self, records: usize) -> Result<()> {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output()?;
        let counted: u64 = by_row(&output.stdout)?.values().sum();
        ensure!(counted == records as u64, "{counted} of {records} were counted");
        Ok(())
    }
}

/// Of all threads of a process, those that have ended too.
fn processor_time(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Behind the name, which may have anything in it.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// Events by topic, service and direction, from the plugin's answer or from jq's.
fn by_row(answer: &[u8]) -> Result<BTreeMap<String, u64>> {
    let answer: Value = serde_json::from_slice(answer).context("an answer in JSON")?;
    let mut rows = BTreeMap::new();
    let mut add = |row: String, events: u64| *rows.entry(row).or_default() += events;
    if let Some(answer) = answer.as_object() {
        for (row, events) in answer {
            let (row, _) = row.rsplit_once(' ').context("an outcome")?;
            add(row.to_owned(), events.as_u64().unwrap_or_default());
        }
    }
    for row in answer.as_array().into_iter().flatten() {
        let text = |field: &str| row[field].as_str().unwrap_or_default();
        let name = format!("{} {} {}", text("topic"), text("service"), text("dir"));
        add(name, row["events"].as_u64().unwrap_or_default());
    }
    Ok(rows)
}

/// A log of so many records, half of them publishes: eight topics, four services, a failure now and then.
fn log(records: usize, format: Format) -> String {
    let mut log = String::new();
    // Numbers that look random, the same each time.
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for number in 0..records {
        let (topic, us) = (random(8), 500 + random(20_000));
        let service = format!("service-{}", topic / 2 + 4 * (number as u64 % 2));
        let fails = random(100) == 0;
        let record = if number % 2 == 0 {
            let (outcome, status) = if fails { ("error", 500) } else { ("success", 204) };
            format!(
                r#"{{"lf":1,"dir":"publish","pubsub":"kafka-pubsub","topic":"lesson.generated-{topic}","outcome":"{outcome}","status":{status},"us":{us},"bytes":400,"trace":"{:016x}{number:016x}"}}"#,
                us + 1
            )
        } else {
            let (outcome, status) = if fails { ("retry", 503) } else { ("success", 200) };
            format!(
                r#"{{"lf":1,"dir":"deliver","pubsub":"kafka-pubsub","topic":"lesson.generated-{topic}","outcome":"{outcome}","status":{status},"us":{us},"partition":{},"offset":{number},"age_ms":{},"trace":"{:016x}{number:016x}"}}"#,
                random(6),
                random(100),
                us + 1
            )
        };
        let message = record.replace('"', "\\\"");
        let time = format!(
            "2026-01-15T10:{:02}:{:02}.{:09}Z",
            number / 60_000 % 60,
            number / 1000 % 60,
            number % 1000 * 1_000_000
        );
        let pod = "6d5f8c7b9-x2kqp";
        let _ = match format {
            Format::Text => writeln!(
                log,
                r#"time="{time}" level=info msg="{message}" app_id={service} component="learnflow (middleware.http.wasm/v1)" instance={service}-{pod} scope=dapr.runtime type=log ver=1.18.1"#
            ),
            Format::Json => writeln!(
                log,
                r#"{{"app_id":"{service}","component":"learnflow (middleware.http.wasm/v1)","instance":"{service}-{pod}","level":"info","msg":"{message}","scope":"dapr.runtime","time":"{time}","type":"log","ver":"1.18.1"}}"#
            ),
        };
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use learnflow_flow::{Names, Reader};

    #[test]
    fn each_line_of_the_log_is_a_record_in_both_formats() {
        for format in [Format::Text, Format::Json] {
            let (mut reader, mut names, mut events) = (Reader::default(), Names::default(), 0);
            reader.read(log(1_000, format).as_bytes(), &mut names, |_| events += 1);
            assert_eq!((events, reader.counts().broken), (1_000, 0));
        }
    }

    #[test]
    fn both_answers_are_read_alike() {
        let ours = br#"[{"topic":"t","service":"s","dir":"publish","events":3}]"#;
        let theirs = br#"{"t s publish success":2,"t s publish error":1}"#;
        assert_eq!(by_row(ours).expect("rows"), by_row(theirs).expect("rows"));
    }

    #[test]
    fn the_kernel_says_what_a_process_took() {
        assert!(processor_time(std::process::id()).expect("a figure") >= 0.0);
    }
}
