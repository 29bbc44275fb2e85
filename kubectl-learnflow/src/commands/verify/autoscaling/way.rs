//! How one request, or one event, gets to the service, and whose fault it is when it does not.
//!
//! Requests go through the API server's proxy of a Service: it takes the same endpoints as callers in the cluster do, one at
//! random for each request. A forwarded port would lead to one pod and end with it, and nobody could tell whether a request
//! failed at the service or at the port.

use super::{
    super::experiment::Lines,
    judge::Failure,
    load::{Answer, Sender},
};
use crate::cluster::{Ask, Cluster};
use regex::Regex;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use tokio::sync::Mutex;

/// How much of an answer is kept.
const TEXT: usize = 200;

#[derive(Clone)]
pub(super) enum Way<P: Lines> {
    Requests(Arc<(Cluster, Ask)>),
    Events(Arc<Events<P>>),
}

/// Through the sidecar of a pod, which may go.
pub(super) struct Events<P: Lines> {
    pub(super) ports: P,
    pub(super) pod: String,
    pub(super) path: String,
    /// None: canaries with a number.
    pub(super) body: Option<String>,
    pub(super) run: String,
    pub(super) line: Mutex<Option<P::Wire>>,
}

impl<P: Lines> Sender for Way<P> {
    async fn send(&self, number: u64) -> Answer {
        match self {
            Self::Requests(way) => {
                let (cluster, ask) = &**way;
                match cluster.ask_once(ask).await {
                    Ok((code, text)) => read(code, &text),
                    Err(why) => Answer::Lost(why),
                }
            }
            Self::Events(events) => events.publish(number).await,
        }
    }
}

impl<P: Lines> Events<P> {
    async fn publish(&self, number: u64) -> Answer {
        use super::super::publish::Wire;
        let line = {
            let mut kept = self.line.lock().await;
            match kept.clone().filter(Wire::takes_more) {
                Some(line) => line,
                None => match self.ports.open_line(&self.pod).await {
                    Ok(line) => kept.insert(line).clone(),
                    Err(problem) => return Answer::Lost(problem.what),
                },
            }
        };
        let canary = || {
            format!(
                "{{\"canary\":\"{}-{number}.\",\"sent_by\":\"kubectl learnflow verify autoscaling\"}}",
                self.run
            )
        };
        let body = self.body.clone().unwrap_or_else(canary);
        match line.post(&self.path, body).await {
            Ok((200..=299, _)) => Answer::Good,
            Ok((code, text)) => failed(code, &text),
            Err(why) => Answer::Lost(why),
        }
    }
}

/// What an answer through the proxy says: of the service, or of the API server itself.
pub(super) fn read(code: u16, body: &str) -> Answer {
    if code < 400 {
        return Answer::Good;
    }
    let status: Value = serde_json::from_str(body).unwrap_or_default();
    let own = status["kind"] == "Status" && status["apiVersion"] == "v1" && status["status"] == "Failure";
    if !own {
        return failed(code, body);
    }
    let message = status["message"].as_str().unwrap_or_default();
    if let Some((_, why)) = message.split_once("error trying to reach service: ") {
        return Answer::Failed(Failure {
            ip: address(why),
            text: why.trim().chars().take(TEXT).collect(),
            ..Failure::default()
        });
    }
    if message.contains("no endpoints available") {
        return Answer::Failed(Failure {
            nobody: true,
            text: "no pod of the service is ready".into(),
            ..Failure::default()
        });
    }
    Answer::Lost(format!("the API server answers {code}: {message}"))
}

fn failed(code: u16, text: &str) -> Answer {
    let text: String = text.trim().chars().take(TEXT).collect();
    Answer::Failed(Failure {
        code: Some(code),
        text: format!("{code} {text}").trim().to_owned(),
        ..Failure::default()
    })
}

/// `dial tcp 10.244.0.7:8080: connect: connection refused`; the last one is where it was going to.
fn address(text: &str) -> Option<String> {
    static ADDRESS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+").ok());
    let found = ADDRESS.as_ref()?.captures_iter(text).last()?;
    Some(found[1].trim_matches(['[', ']']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Answer {
        let status = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "ServiceUnavailable", "code": code });
        read(code, &status.to_string())
    }

    #[test]
    fn whose_fault_it_is() {
        let failed = |ip: Option<&str>, text: &str| {
            Answer::Failed(Failure {
                ip: ip.map(str::to_owned),
                text: text.into(),
                ..Failure::default()
            })
        };
        assert_eq!(read(200, "{\"kind\":\"Status\"}"), Answer::Good);
        assert_eq!(read(302, ""), Answer::Good);
        let refused = "dial tcp 10.244.0.7:8080: connect: connection refused";
        assert_eq!(
            status(503, &format!("error trying to reach service: {refused}")),
            failed(Some("10.244.0.7"), refused)
        );
        let reset = "read tcp 10.99.0.1:40112->10.244.0.9:8080: read: connection reset by peer";
        assert_eq!(
            status(503, &format!("error trying to reach service: {reset}")),
            failed(Some("10.244.0.9"), reset)
        );
        assert_eq!(
            status(503, "error trying to reach service: dial tcp [fd00::7]:80: i/o timeout"),
            failed(Some("fd00::7"), "dial tcp [fd00::7]:80: i/o timeout")
        );
        assert_eq!(status(503, "error trying to reach service: EOF"), failed(None, "EOF"));
        assert!(matches!(
            status(503, "no endpoints available for service \"cart:80\""),
            Answer::Failed(Failure { nobody: true, .. })
        ));
        // Not the service's.
        for (code, message) in [
            (403, "services \"cart\" is forbidden"),
            (429, "too many requests"),
            (500, "etcd is away"),
        ] {
            assert!(matches!(status(code, message), Answer::Lost(why) if why.contains(message)));
        }
        // The service's own words, even when they look alike.
        let Answer::Failed(failure) = read(503, "{\"status\":\"Failure\",\"message\":\"busy\"}") else {
            panic!("a failure")
        };
        assert_eq!(failure.code, Some(503));
        let Answer::Failed(failure) = read(500, &"x".repeat(9000)) else {
            panic!("a failure")
        };
        assert_eq!(failure.text.len(), TEXT + 4);
        assert!(matches!(read(404, ""), Answer::Failed(Failure { code: Some(404), text, .. }) if text == "404"));
    }
}
