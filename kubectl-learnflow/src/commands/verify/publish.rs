//! Canaries, at a steady rate, whatever becomes of each.

use super::Scene;
use crate::problem::Problem;
use learnflow_resilience::verdict::Answer;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

/// How much of an answer is kept.
const TEXT: usize = 300;

/// A way to publish: a sidecar, or what stands in for one in tests.
pub(in crate::commands) trait Wire: Clone + Send + Sync + 'static {
    fn takes_more(&self) -> bool;
    fn post(&self, path: &str, body: String) -> impl Future<Output = Result<(u16, String), String>> + Send;
}

/// One canary, as its caller saw it.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    pub(super) number: u32,
    pub(super) begun: Instant,
    pub(super) took: Duration,
    pub(super) answer: Answer,
}

#[derive(Debug, Default)]
struct Log {
    sent: u32,
    ended: Vec<Canary>,
}

/// Sends until it is dropped or told to end; the log stays.
pub(super) struct Publisher {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub(super) fn start<W: Wire, F: Future<Output = Result<W, Problem>> + Send>(
        scene: &Scene,
        run: &str,
        first: W,
        open: impl Fn() -> F + Send + 'static,
    ) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let path = format!("/v1.0/publish/{}/{}", scene.pubsub, scene.args.topic);
        let every = Duration::from_secs_f64(1.0 / scene.args.rate);
        let (ours, run) = (log.clone(), run.to_owned());
        let task = tokio::spawn(async move {
            let mut wires = vec![first];
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let number = {
                    let mut log = ours.lock().unwrap_or_else(PoisonError::into_inner);
                    log.sent += 1;
                    log.sent
                };
                let begun = Instant::now();
                let record = {
                    let ours = ours.clone();
                    move |answer: Answer| {
                        let canary = Canary {
                            number,
                            begun,
                            took: begun.elapsed(),
                            answer,
                        };
                        ours.lock().unwrap_or_else(PoisonError::into_inner).ended.push(canary);
                    }
                };
                let wire = match wires.iter().find(|wire| wire.takes_more()) {
                    Some(wire) => wire.clone(),
                    None => match open().await {
                        Ok(wire) => {
                            wires.push(wire.clone());
                            wire
                        }
                        Err(problem) => {
                            record(Answer::Unknown(problem.what));
                            continue;
                        }
                    },
                };
                let body = format!(
                    "{{\"canary\":\"{}\",\"sent_by\":\"kubectl learnflow verify resilience\"}}",
                    mark(&run, number)
                );
                let path = path.clone();
                tokio::spawn(async move { record(answer(wire.post(&path, body).await)) });
            }
        });
        Self { log, task }
    }

    /// No more are sent.
    pub(super) fn end(&self) {
        self.task.abort();
    }

    /// How many were sent, and how many of them have an answer.
    pub(super) fn count(&self) -> (usize, usize) {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        (log.sent as usize, log.ended.len())
    }

    pub(super) fn canaries(&self) -> Vec<Canary> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = log.ended.clone();
        all.sort_by_key(|canary| canary.number);
        all
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// By which a canary is known in Kafka.
pub(super) fn mark(run: &str, number: u32) -> String {
    format!("{run}-{number}.")
}

fn answer(answer: Result<(u16, String), String>) -> Answer {
    match answer {
        Ok((200..=299, _)) => Answer::Accepted,
        Ok((code, text)) => Answer::Refused {
            code,
            by_breaker: text.contains("circuit breaker is open") || text.contains("too many requests"),
            text: said(&text).chars().take(TEXT).collect(),
        },
        Err(why) => Answer::Unknown(why),
    }
}

/// The sentence in an answer of Dapr, or all of it.
fn said(text: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    answer["message"].as_str().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_the_breaker_gave_it() {
        let text = r#"{"errorCode":"ERR_PUBSUB_PUBLISH_MESSAGE","message":"error when publishing to topic t in pubsub p: circuit breaker is open"}"#;
        let refused = |text: &str, by_breaker| Answer::Refused {
            code: 500,
            by_breaker,
            text: text.into(),
        };
        let open = "error when publishing to topic t in pubsub p: circuit breaker is open";
        assert_eq!(answer(Ok((500, text.into()))), refused(open, true));
        assert_eq!(answer(Ok((500, "broken".into()))), refused("broken", false));
        assert_eq!(answer(Ok((204, String::new()))), Answer::Accepted);
        assert_eq!(answer(Err("closed".into())), Answer::Unknown("closed".into()));
        assert!(matches!(answer(Ok((500, "x".repeat(9000)))), Answer::Refused { text, .. } if text.len() == TEXT));
    }
}
