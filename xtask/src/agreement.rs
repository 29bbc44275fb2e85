//! The two hosts of the guest agree: Dapr's own, and `wasm-middleware/host`, which runs it without Dapr.
//!
//! Each call goes through both. Held against each other are the request as the next handler gets it, the answer as the client
//! gets it, and the records, but for how long something took.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use learnflow_host::{Answer, Clock, Headers, Middleware, Module, Request};
use serde_json::{Value, json};
use support::{Call, Guest, cases};

use crate::{
    fuzz::{
        clock,
        tests::{HOST, guest},
    },
    host,
};

#[path = "../../wasm-middleware/http-wasm/tests/support/mod.rs"]
mod support;

/// The guest in Rust, whose calls are kept.
struct Kept {
    guest: learnflow_http_wasm::Guest,
    started: Call,
    calls: Vec<Value>,
    /// What Dapr's host cannot be made to do: clocks that fail, answers that are not held back.
    left_out: usize,
}

impl Guest for Kept {
    fn start(&mut self, mut call: Call) -> Call {
        self.guest.start(&mut call);
        self.started = call.clone();
        call
    }

    fn handle_request(&mut self, mut call: Call) -> (Call, u64) {
        if call.can_buffer && call.clock_works {
            self.calls.push(told(&call, &self.started));
        } else {
            self.left_out += 1;
        }
        let next = self.guest.handle_request(&mut call);
        (call, next)
    }

    fn handle_response(&mut self, mut call: Call, context: u32, failed: u32) -> Call {
        self.guest.handle_response(&mut call, context, failed);
        call
    }
}

/// In the form of `tests/host/replay.go`.
fn told(call: &Call, started: &Call) -> Value {
    let mut headers = Headers::default();
    for (name, value) in &call.headers {
        headers.add(name, value.as_str());
    }
    let answer = match &call.answer {
        support::Answer::Real(status, count, body) => Answer {
            status: Some(*status),
            headers: (0..*count).fold(Headers::default(), |headers, number| {
                headers.with(&format!("X-{number}"), "1")
            }),
            body: body.clone(),
            panicked: false,
        },
        support::Answer::Nothing => Answer::default(),
        support::Answer::Panic => Answer {
            panicked: true,
            ..Answer::default()
        },
    };
    json!({
        "config": started.config,
        "strict": started.clock_is_fake,
        "method": encoded(call.method.as_bytes()),
        "uri": encoded(call.uri.as_bytes()),
        "from": call.from,
        "header": of_headers(&headers),
        "answer": of_answer(&answer),
    })
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn decoded(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    BASE64_STANDARD.decode(text).expect("base64")
}

fn of_headers(headers: &Headers) -> Value {
    let encoded = |values: &[Vec<u8>]| values.iter().map(|value| encoded(value)).collect::<Vec<_>>();
    let headers: BTreeMap<&str, Vec<String>> = headers.iter().map(|(name, values)| (name, encoded(values))).collect();
    json!(headers)
}

fn headers_of(value: &Value) -> Headers {
    let mut headers = Headers::default();
    for (name, values) in value.as_object().into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            headers.add(name, decoded(value));
        }
    }
    headers
}

fn of_answer(answer: &Answer) -> Value {
    json!({
        "status": answer.status.unwrap_or(0),
        "header": of_headers(&answer.headers),
        "body": encoded(&answer.body),
        "panics": answer.panicked,
    })
}

fn answer_of(value: &Value) -> Answer {
    let status = value["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    Answer {
        status: status.filter(|status| *status != 0),
        headers: headers_of(&value["header"]),
        body: decoded(&value["body"]),
        panicked: value["panics"] == true,
    }
}

/// What Dapr's host makes of the calls.
fn in_daprs(guest: &Path, calls: &[Value]) -> Vec<Value> {
    let mut host = Command::new(&*HOST)
        .arg("replay")
        .arg(guest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host runs");
    let mut stdin = host.stdin.take().expect("its input");
    let lines: String = calls.iter().map(|call| format!("{call}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = host.wait_with_output().expect("a run of the host");
    writer.join().expect("no panic").expect("it reads all calls");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines_of(&output.stdout)
}

fn lines_of(output: &[u8]) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(output).into_iter();
    values.collect::<Result<_, _>>().expect("JSON")
}

/// What ours makes of them, in the same form. Where Dapr's host parses a URI, ours is given what came of that.
fn in_ours(module: &Module, calls: &[Value], theirs: &[Value]) -> Vec<Value> {
    let mut made = BTreeMap::new();
    let one = |(call, theirs): (&Value, &Value)| {
        let config = call["config"].as_str().unwrap_or_default();
        let clock = clock_of(call);
        let middleware = made
            .entry((config.to_owned(), call["strict"] == true))
            .or_insert_with(|| Middleware::new(module, config.as_bytes(), clock).expect("a guest that starts"));
        let request = Request {
            method: decoded(&call["method"]),
            uri: decoded(&theirs["uri"]),
            source: call["from"].as_str().unwrap_or_default().into(),
            headers: headers_of(&call["header"]),
        };
        let answer = answer_of(&call["answer"]);
        let served = middleware
            .serve(request, clock, |_| (answer, clock_of(call)))
            .unwrap_or_else(|error| panic!("{error}: {call}"));
        let lines: Vec<&str> = served.lines.iter().map(|line| line.text.as_str()).collect();
        json!({
            "uri": encoded(&served.request.uri),
            "header": of_headers(&served.request.headers),
            "answer": of_answer(&served.answer),
            "lines": lines,
        })
    };
    calls.iter().zip(theirs).map(one).collect()
}

fn clock_of(call: &Value) -> Clock {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).expect("before the year 2554");
    match call["strict"] == true {
        true => Clock {
            step: 1_000_000,
            ..Clock::default()
        },
        false => Clock {
            wall: now,
            monotonic: now,
            step: 0,
        },
    }
}

/// Without what differs by nature: durations, and whether a handler broke off, which the client cannot see.
fn comparable(outcome: &Value) -> Value {
    let mut outcome = outcome.clone();
    let lines = outcome["lines"].as_array().into_iter().flatten();
    let records = lines.map(|line| {
        let mut record: Value = serde_json::from_str(line.as_str().expect("text")).expect("a record");
        for taken in ["us", "age_ms"] {
            if let Some(number) = record.get_mut(taken) {
                *number = json!("some");
            }
        }
        record
    });
    outcome["lines"] = records.collect();
    let answer = &mut outcome["answer"];
    answer["panics"] = json!(false);
    if answer["status"] == 0 {
        answer["status"] = json!(200);
    }
    if answer["body"].is_null() {
        answer["body"] = json!("");
    }
    outcome
}

/// The calls on which the two hosts disagree, with what each made of them.
fn disagreements(guests: [&Path; 2], calls: &[Value]) -> Vec<String> {
    let module = Module::new(&std::fs::read(guests[1]).expect("the guest")).expect("the guest is valid");
    let theirs = in_daprs(guests[0], calls);
    assert_eq!(theirs.len(), calls.len());
    let ours = in_ours(&module, calls, &theirs);
    let all = calls.iter().zip(theirs.iter().zip(&ours));
    all.filter_map(|(call, (theirs, ours))| {
        let (theirs, ours) = (comparable(theirs), comparable(ours));
        (theirs != ours).then(|| format!("{call}\nDapr's: {theirs}\nours:   {ours}"))
    })
    .collect()
}

fn all_cases() -> Kept {
    let nobody = Call::new("none", "", "", support::Answer::Nothing);
    let mut kept = Kept {
        guest: learnflow_http_wasm::Guest::new(),
        started: nobody,
        calls: Vec::new(),
        left_out: 0,
    };
    cases::all(&mut kept);
    kept
}

#[test]
fn on_each_case_of_the_guest() {
    let kept = all_cases();
    assert!(
        kept.calls.len() >= 90 && kept.left_out <= 5,
        "{} and {}",
        kept.calls.len(),
        kept.left_out
    );
    let guest = guest();
    let found = disagreements([&guest, &guest], &kept.calls);
    assert!(
        found.is_empty(),
        "{} of {}:\n{}",
        found.len(),
        kept.calls.len(),
        found[0]
    );
    let _ = writeln!(
        std::io::stderr(),
        "{} cases in both hosts, {} that Dapr's cannot play",
        kept.calls.len(),
        kept.left_out
    );
}

#[test]
fn on_random_calls() {
    let guest = guest();
    for seed in [1, clock()] {
        let output = Command::new(&*HOST)
            .args(["random", &seed.to_string(), "0", "2000"])
            .output()
            .expect("a run of the host");
        let calls = lines_of(&output.stdout);
        assert_eq!(calls.len(), 2000);
        let found = disagreements([&guest, &guest], &calls);
        assert!(found.is_empty(), "seed {seed}, {} calls:\n{}", found.len(), found[0]);
    }
}

#[test]
fn a_host_that_runs_another_guest_is_found_out() {
    let noop = HOST.with_file_name(format!("noop.agreement.{}.wasm", std::process::id()));
    std::fs::write(&noop, host::NOOP).expect("a guest");
    let found = disagreements([&noop, &guest()], &all_cases().calls);
    std::fs::remove_file(&noop).expect("a guest");
    assert!(found.len() >= 50, "{}", found.len());
}
