//! `verify autoscaling`: load, and how it is bounded.

use super::{ReportFormat, parse_timeout, verify::parse_topic};
use crate::config;
use clap::Args;
use http::Method;
use std::time::Duration;

/// More is a load test, which wants tools of its own.
const MOST_PER_SECOND: f64 = 500.0;
/// As many as an API server takes on one connection, and some left for what is asked beside.
const MOST_AT_ONCE: u16 = 64;

/// Prove with real load that a service's autoscaler moves, and that no request fails meanwhile
///
/// Sends requests through the Service of a Deployment (by the API server's proxy, which takes the same endpoints as callers
/// in the cluster), more and more up to --max-rps, until its HorizontalPodAutoscaler wants more pods. It holds that load,
/// takes it away, and waits until the pods are gone again. It measures how long all that takes and which requests failed,
/// and says of each promise whether it was kept. A consumer gets events instead, on --topic.
///
/// The service feels the load, so nothing is sent without --load: then it only looks whether the autoscaler can work and
/// says what would be sent. The load ends at once on Ctrl-C, when more than --max-errors of the requests fail, and after
/// --max-duration. Nothing needs to be undone: pods that came go by themselves.
///
/// Exits with 0 when every promise was kept, 1 when one was broken, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Autoscaling {
    /// The Deployment [default: the only one that has an autoscaler]
    #[arg(value_name = "SERVICE", value_parser = config::name)]
    pub(crate) service: Option<String>,
    /// Yes, send load
    #[arg(long)]
    pub(crate) load: bool,
    /// The most requests a second, or events, at most 500
    #[arg(long, value_name = "RATE", default_value = "50", value_parser = parse_rps)]
    pub(crate) max_rps: f64,
    /// In which time the load grows to that, unless more pods are wanted before
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub(crate) ramp: Duration,
    /// Requests under way at a time; the next waits for an answer
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_AT_ONCE)))]
    pub(crate) concurrency: u16,
    /// How long to hold the load once a new pod is ready
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_timeout)]
    pub(crate) hold: Duration,
    /// The load ends after this, whatever has happened
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) max_duration: Duration,
    /// The load ends when more than this share of the last requests failed
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = parse_share)]
    pub(crate) max_errors: f64,
    /// A new pod is to be ready within this after the load began
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = parse_timeout)]
    pub(crate) within: Duration,
    /// Do not wait until the pods are gone again
    #[arg(long)]
    pub(crate) no_scale_down: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) requests: Requests,
    #[command(flatten)]
    pub(crate) events: Events,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct Requests {
    /// What to ask for; choose what costs as much as real requests do
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = parse_path)]
    pub(crate) path: String,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = parse_method)]
    pub(crate) method: Method,
    /// The body, with --method POST or PUT; or of each event, with --topic. JSON is sent as JSON
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: Option<String>,
    /// The port of the Service, by name or number [default: the one called http, or the first]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events, for a consumer")]
pub(crate) struct Events {
    /// Publish to this topic instead; the service must subscribe to it
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic, conflicts_with_all = ["path", "method", "port"])]
    pub(crate) topic: Option<String>,
    /// The Dapr Component for Kafka [default: the only one]
    #[arg(long, value_name = "COMPONENT", value_parser = config::name, requires = "topic")]
    pub(crate) pubsub: Option<String>,
    /// The Deployment through whose sidecar to publish [default: another one that may, or the service itself]
    #[arg(long, value_name = "DEPLOYMENT", value_parser = config::name, requires = "topic")]
    pub(crate) through: Option<String>,
}

/// Reads `50`, `0.5` or `50/s`.
fn parse_rps(text: &str) -> Result<f64, String> {
    match text.strip_suffix("/s").unwrap_or(text).parse::<f64>() {
        Ok(rate) if rate > MOST_PER_SECOND => Err(format!("at most {MOST_PER_SECOND} a second: this is no load test")),
        Ok(rate) if rate >= 1.0 => Ok(rate),
        Ok(_) => Err("less than 1 a second is no load".into()),
        Err(_) => Err(format!("`{text}` is not a rate; write for example 50")),
    }
}

/// Reads `5%`.
fn parse_share(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').map(str::trim).unwrap_or("").parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share / 100.0),
        _ => Err(format!("`{text}` is not a share; write for example 5%")),
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.parse::<http::Uri>().is_ok() && !text.contains('#') {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a path; write for example /lessons?page=1")),
    }
}

fn parse_method(text: &str) -> Result<Method, String> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let wanted = text.to_uppercase();
    known
        .into_iter()
        .find(|method| method.as_str() == wanted)
        .ok_or_else(|| format!("`{text}` is not a method; write GET, HEAD, POST, PUT, PATCH or DELETE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Subject, Verb};
    use clap::Parser;

    fn autoscaling(flags: &[&str]) -> Result<Autoscaling, String> {
        let line = [&["x", "verify", "autoscaling"], flags].concat();
        match Cli::try_parse_from(line).map_err(|e| e.to_string())?.verb {
            Verb::Verify(crate::cli::Verify {
                what: Subject::Autoscaling(args),
            }) => Ok(*args),
            _ => panic!("another verb"),
        }
    }

    #[test]
    fn nothing_is_sent_by_default_and_load_is_bounded() {
        let args = autoscaling(&["cart"]).expect("good flags");
        assert!(!args.load);
        assert_eq!((args.max_rps, args.max_errors, args.concurrency), (50.0, 0.05, 16));
        for wrong in [
            &["--max-rps=501"][..],
            &["--max-rps=0"],
            &["--max-rps=many"],
            &["--max-errors=5"],
            &["--max-errors=101%"],
            &["--concurrency=0"],
            &["--concurrency=65"],
            &["--path=lessons"],
            &["--path=/a b"],
            &["--method=BREW"],
            &["--pubsub=kafka"],
            &["--topic=t", "--path=/x"],
            &["--topic=a/b"],
            &["--hold=0"],
            &["Not_a_name"],
        ] {
            assert!(autoscaling(wrong).is_err(), "{wrong:?}");
        }
        let args = autoscaling(&[
            "--load",
            "--method=post",
            "--path=/l?cost=5",
            "--max-errors=0%",
            "--max-rps=20/s",
        ]);
        let args = args.expect("good flags");
        assert_eq!(
            (args.requests.method, args.max_errors, args.max_rps),
            (Method::POST, 0.0, 20.0)
        );
    }
}
