//! What LearnFlow's services might have written into their sidecars' logs, and what is true of it.

use std::{collections::BTreeMap, fmt::Write};

/// Of a topic, a service and a direction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub ok: u64,
    pub retries: u64,
}

#[derive(Default)]
pub struct Story {
    /// By time, in nanoseconds.
    lines: Vec<(u64, String)>,
    pub truth: BTreeMap<(String, String, &'static str), Counts>,
    random: u64,
}

/// Who publishes to which topic, who receives, and how often.
const FLOWS: [(&str, &str, &str, u64); 6] = [
    ("course-agent", "lesson.generated", "user-progress", 6),
    ("frontend", "quiz.answered", "user-progress", 4),
    ("user-progress", "progress.updated", "frontend", 3),
    ("frontend", "lesson.opened", "user-progress", 2),
    ("recommender", "recommendation.made", "frontend", 1),
    ("billing", "invoice.paid", "user-progress", 1),
];
/// 2026-01-15T10:00:00Z.
const BEGIN: u64 = 1_768_471_200_000_000_000;
const MILLI: u64 = 1_000_000;

impl Story {
    /// So many events a second. One of thirty lessons is tried three times, one of a hundred becomes a dead letter.
    pub fn of(seconds: u64, rate: u64) -> Self {
        let mut story = Self::default();
        let pairs = seconds * rate / 2;
        for number in 0..pairs {
            let at = number * seconds * 1_000_000_000 / pairs;
            story.event(at, number);
        }
        story
    }

    fn event(&mut self, at: u64, number: u64) {
        let all: u64 = FLOWS.iter().map(|flow| flow.3).sum();
        let mut pick = self.random(all);
        let flow = FLOWS.iter().find(|flow| {
            let here = pick < flow.3;
            pick = pick.saturating_sub(flow.3);
            here
        });
        let Some(&(publisher, topic, receiver, _)) = flow else {
            return;
        };
        let trace = format!("{:032x}", u128::from(number) + 1);
        let (took, wait) = (1500 + self.random(9000), 2 + self.random(30));
        let said = format!(
            r#""outcome":"success","status":204,"us":{took},"bytes":{},"trace":"{trace}""#,
            200 + took % 900
        );
        self.line(at + took * 1000, publisher, "publish", topic, &said);
        let is_lesson = topic == "lesson.generated";
        let failures = if is_lesson && self.random(30) == 0 { 2 } else { 0 };
        let is_dead = is_lesson && self.random(100) == 0;
        let place = format!(r#""partition":{},"offset":{number}"#, number % 3);
        let mut begin = at + wait * MILLI;
        for attempt in 0..=failures {
            let took = 600 + self.random(4000);
            let outcome = match (attempt < failures, is_dead) {
                (true, _) => r#""outcome":"retry","status":503"#,
                (false, true) => r#""outcome":"drop","status":404"#,
                (false, false) => r#""outcome":"success","status":200"#,
            };
            let age = (begin - at) / MILLI;
            let said = format!(r#"{outcome},"us":{took},{place},"age_ms":{age},"trace":"{trace}""#);
            self.line(begin + took * 1000, receiver, "deliver", topic, &said);
            begin += 500 * MILLI;
        }
        if is_dead {
            let said = format!(r#""outcome":"success","status":204,"us":{took},"trace":"{trace}""#);
            self.line(begin, "user-progress", "publish", "lesson.generated.dead", &said);
        }
    }

    /// One line in daprd's text format.
    pub fn line(&mut self, at: u64, service: &str, dir: &'static str, topic: &str, said: &str) {
        // A record is ASCII.
        let name: String = serde_json::Value::from(topic)
            .to_string()
            .chars()
            .map(|c| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    format!("\\u{:04x}", c as u32)
                }
            })
            .collect();
        let msg = format!(r#"{{"lf":1,"dir":"{dir}","pubsub":"kafka-pubsub","topic":{name},{said}}}"#);
        let msg = msg.replace('\\', r"\\").replace('"', "\\\"");
        let time = jiff::Timestamp::from_nanosecond(i128::from(BEGIN + at)).unwrap_or_default();
        let line = format!(
            "time=\"{time}\" level=info msg=\"{msg}\" app_id={service} component=\"learnflow (middleware.http.wasm/v1)\" \
             instance={service}-6d5f8c7b9-x2kqp scope=dapr.runtime type=log ver=1.18.1\n"
        );
        self.lines.push((at, line));
        let counts = self
            .truth
            .entry((topic.to_owned(), service.to_owned(), dir))
            .or_default();
        counts.events += 1;
        counts.ok += u64::from(said.contains(r#""outcome":"success""#));
        counts.retries += u64::from(said.contains(r#""outcome":"retry""#));
    }

    pub fn log(&self) -> String {
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort();
        let mut log = String::from(
            "time=\"2026-01-15T09:59:59Z\" level=info msg=\"Starting Dapr Runtime\" app_id=x instance=y\n",
        );
        for (_, line) in lines {
            let _ = write!(log, "{line}");
        }
        log
    }

    pub fn events(&self) -> u64 {
        self.truth.values().map(|counts| counts.events).sum()
    }

    pub fn failed(&self) -> u64 {
        self.truth.values().map(|counts| counts.events - counts.ok).sum()
    }

    /// The same numbers each time.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }
}
