//! Two sidecars, one with the middleware in its pipelines: the same calls have the same answers, and the app is called in the
//! same way, to the byte.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{
    http::{Answer, Client, Message, serve},
    sidecar::{Middleware, Rig, Sidecar},
};
use serde::Deserialize;
use serde_json::json;

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[("unchanged::every_call", every_call)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// As often as this stands for `@` in the body, there is an `x`.
    #[serde(default)]
    length: usize,
    #[serde(default)]
    chunked: bool,
}

fn cases() -> Result<Vec<Case>> {
    serde_json::from_str(include_str!("../cases/unchanged.json")).context("cases")
}

fn every_call(rig: &Rig) -> Result<()> {
    let with = Side::start(rig, Middleware::installed()?)?;
    let plain = Side::start(rig, Middleware::installed()?.out_of_pipelines())?;
    let mut differences = Vec::new();
    let mut compare = |name: &str, with: [String; 2], plain: [String; 2]| {
        for (side, (with, plain)) in ["answer", "app saw"].iter().zip(with.into_iter().zip(plain)) {
            if with != plain {
                differences.push(format!(
                    "{name}, {side}\n  with:    {with:.800}\n  without: {plain:.800}"
                ));
            }
        }
    };
    // What a sidecar asks its app for when it starts.
    compare(
        "at the start",
        [String::new(), with.app_saw()],
        [String::new(), plain.app_saw()],
    );
    for case in cases()? {
        compare(&case.name, with.call(&case)?, plain.call(&case)?);
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    // And it was there all the time.
    let [with, plain] = [with.sidecar.records()?.len(), plain.sidecar.records()?.len()];
    ensure!(with > 5 && plain == 0, "{with} records with, {plain} without");
    Ok(())
}

struct Side {
    sidecar: Sidecar,
    app: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Side {
    fn start(rig: &Rig, middleware: Middleware) -> Result<Self> {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let for_app = Arc::clone(&seen);
        let app = serve(move |request| {
            if let Ok(mut seen) = for_app.lock() {
                seen.push(settled(&request));
            }
            answer(&request)
        })?;
        let resource = |name: &str, kind: &str| {
            json!({
                "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
                "spec": {"type": kind, "version": "v1", "metadata": []},
            })
        };
        let setup = rig.sidecar(middleware).app(app).environment("LESSON", "secret");
        let setup = setup.resource(resource("memory", "state.in-memory"));
        let sidecar = setup
            .resource(resource("environment", "secretstores.local.env"))
            .start()?;
        Ok(Self { sidecar, app, seen })
    }

    /// What the caller is answered, and what the app saw of it.
    fn call(&self, case: &Case) -> Result<[String; 2]> {
        let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = case.body.replace('@', &"x".repeat(case.length));
        // A connection each: Dapr closes some.
        let mut client = Client::new(self.sidecar.api())?;
        let answer = match case.method.as_str() {
            "HEAD" => {
                client.begin("HEAD", &case.path, &headers, b"", false)?;
                Message::read_head(client.reader())?.context("no answer")
            }
            method => client.send(method, &case.path, &headers, body.as_bytes(), case.chunked),
        };
        let answer = answer.with_context(|| case.name.clone())?;
        if answer.status() == 0 {
            bail!("{}: {answer:?}", case.name);
        }
        // The metadata name the app's port, which is more than any other number here.
        let answer = settled(&answer).replace(&self.app.port().to_string(), "PORT");
        Ok([answer, self.app_saw()])
    }

    fn app_saw(&self) -> String {
        self.seen
            .lock()
            .map(|mut seen| std::mem::take(&mut *seen).join("\n"))
            .unwrap_or_default()
    }
}

fn answer(request: &Message) -> Answer {
    if request.path() == "/dapr/subscribe" {
        return Answer::new(200, "[]");
    }
    match request
        .path()
        .strip_prefix("/answer/")
        .and_then(|status| status.parse().ok())
    {
        None => Answer::Whole {
            status: 200,
            headers: vec![
                ("x-app", "1".into()),
                ("content-type", "text/html; charset=utf-8".into()),
            ],
            body: request.body.clone(),
        },
        Some(status) => Answer::Whole {
            status,
            headers: vec![
                ("location", "/elsewhere".into()),
                ("content-type", "application/json".into()),
            ],
            body: if status == 204 {
                Vec::new()
            } else {
                b"{\"status\": \"told\"}".to_vec()
            },
        },
    }
}

/// A message as text, without what is new each time: dates, addresses, and the numbers that Dapr makes up.
fn settled(message: &Message) -> String {
    let mut text = format!("{}\n", message.first);
    for (name, value) in &message.headers {
        if name != "date" && name != "host" {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value));
        }
    }
    text += &String::from_utf8_lossy(&message.body);
    without_ids(&text)
}

/// A UUID has 36 characters, a `traceparent` 55.
fn without_ids(text: &str) -> String {
    let is_part = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
    let mut out = String::new();
    for run in text.as_bytes().chunk_by(|a, b| is_part(*a) == is_part(*b)) {
        let is_id = is_part(run[0]) && [36, 55].contains(&run.len());
        out += &if is_id {
            "ID".into()
        } else {
            String::from_utf8_lossy(run)
        };
    }
    out
}
