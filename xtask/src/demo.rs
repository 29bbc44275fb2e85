//! `cargo xtask demo`: the whole line on a real cluster, from nothing.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use learnflow_lab::{Lab, Life, Scope, progress};
use learnflow_tests::{Frontend, Prometheus, Span, Target, progress_of, read_spans};

use crate::artifacts::{self, step};

const LESSONS: usize = 200;
const TOPIC: &str = "lesson.generated";

#[derive(Debug, Args)]
pub struct Arguments {
    /// Leave everything running at the end
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    cluster: Cluster,
}

/// Instead of the lab, a cluster named on purpose
#[derive(Debug, Args)]
pub struct Cluster {
    /// A kubeconfig of a cluster with Dapr and Kafka, instead of the lab
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in that kubeconfig
    #[arg(long, requires = "kubeconfig", value_name = "NAME")]
    pub context: Option<String>,
    /// The image of LearnFlow's services, where that cluster can pull it (`target/services-image.tar`, pushed by you)
    #[arg(long, requires = "kubeconfig", value_name = "REFERENCE")]
    pub image: Option<String>,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let started = Instant::now();
    progress::line(
        "The first time this builds a cluster from source: 25 to 40 minutes on two cores. Later it takes 1 to 5 minutes.",
    );
    let target = target(
        &arguments.cluster,
        if arguments.keep { "demo" } else { "" },
        Scope::Base,
    )?;
    progress::line("deploying LearnFlow's services: frontend, course-agent, user-progress");
    target.deploy_services()?;

    println!("\n$ kubectl learnflow install --namespace learnflow --grafana=none");
    plugin(&target, &["install"])?;
    println!("\n$ kubectl learnflow status --namespace learnflow");
    plugin(&target, &["status"])?;

    println!("\nAsking the frontend for {LESSONS} lessons …");
    let frontend = Frontend::of(&target)?;
    let before = progress_of(&target, 0, Duration::ZERO)?.lessons;
    let asked = Instant::now();
    frontend.request_lessons(LESSONS)?;
    let expected = before + LESSONS as u64;
    let rows = step("waiting for the database", || {
        progress_of(&target, expected, Duration::from_secs(60))
    })?;
    println!(
        "{LESSONS} lessons accepted and {} rows in the database after {:.1} s.",
        rows.lessons - before,
        asked.elapsed().as_secs_f64()
    );

    let prometheus = Prometheus::of(&target)?;
    step("waiting for Prometheus", || {
        let sent = format!("sum(messaging_client_sent_messages_total{{messaging_destination_name=\"{TOPIC}\"}})");
        let consumed =
            format!("sum(messaging_client_consumed_messages_total{{messaging_destination_name=\"{TOPIC}\"}})");
        prometheus.wait_at_least(&sent, LESSONS as f64, Duration::from_secs(60))?;
        prometheus.wait_at_least(&consumed, LESSONS as f64, Duration::from_secs(60))
    })?;
    println!("\nBy topic, from Prometheus:\n");
    print!("{}", topics(&prometheus)?);

    println!("\nOne event's way, from its spans:\n");
    print!("{}", one_trace(&target)?);
    println!("\nDone in {}.", progress::duration(started.elapsed()));
    addresses(&target, arguments.keep);
    Ok(())
}

/// The cluster to use: the one that was named, or a lab. A lab without a name ends with this process.
pub fn target(cluster: &Cluster, keep_as: &str, scope: Scope) -> Result<Target> {
    let plugin = artifacts::plugin()?;
    if let Some(kubeconfig) = &cluster.kubeconfig {
        return Ok(Target::named(
            kubeconfig.clone(),
            cluster.context.clone(),
            cluster.image.clone(),
            plugin,
        ));
    }
    let image = artifacts::services_image()?;
    let (name, life) = match keep_as {
        "" => (format!("run-{}", std::process::id()), Life::Tied),
        name => (name.to_owned(), Life::Detached),
    };
    Target::lab(Lab::up(&name, scope, life)?, plugin, &image)
}

fn plugin(target: &Target, arguments: &[&str]) -> Result<()> {
    let status = target
        .plugin(arguments)
        .status()
        .context("cannot run kubectl-learnflow")?;
    if !status.success() {
        bail!("kubectl learnflow {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// The columns of the table, and the query that fills each, by topic.
const COLUMNS: &[(&str, &str)] = &[
    (
        "PUBLISHED",
        "sum by (messaging_destination_name) (messaging_client_sent_messages_total)",
    ),
    (
        "DELIVERED",
        "sum by (messaging_destination_name) (messaging_client_consumed_messages_total)",
    ),
    ("PUBLISH_P50", "0.5 messaging_client_operation_duration_seconds_bucket"),
    ("PUBLISH_P95", "0.95 messaging_client_operation_duration_seconds_bucket"),
    ("DELIVER_P50", "0.5 messaging_process_duration_seconds_bucket"),
    ("DELIVER_P95", "0.95 messaging_process_duration_seconds_bucket"),
    ("AGE_P95", "0.95 learnflow_event_age_seconds_bucket"),
];

fn topics(prometheus: &Prometheus) -> Result<String> {
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, (_, query)) in COLUMNS.iter().enumerate() {
        let (query, seconds) = match query.split_once(' ') {
            Some((quantile, metric)) if quantile.parse::<f64>().is_ok() => (
                format!("histogram_quantile({quantile}, sum by (le, messaging_destination_name) ({metric}))"),
                true,
            ),
            _ => ((*query).to_owned(), false),
        };
        for sample in prometheus.query(&query)? {
            let topic = sample
                .labels
                .get("messaging_destination_name")
                .cloned()
                .unwrap_or_default();
            let row = table
                .entry(topic)
                .or_insert_with(|| vec!["-".to_owned(); COLUMNS.len()]);
            row[index] = match seconds {
                true => format!("{:.1}ms", sample.value * 1000.0),
                false => format!("{}", sample.value),
            };
        }
    }
    let mut text = format!("{:<24}", "TOPIC");
    for (title, _) in COLUMNS {
        text.push_str(&format!("{title:>13}"));
    }
    text.push('\n');
    for (topic, row) in table {
        text.push_str(&format!("{topic:<24}"));
        for cell in row {
            text.push_str(&format!("{cell:>13}"));
        }
        text.push('\n');
    }
    Ok(text)
}

/// The newest trace that is whole, from the frontend to the row, as a tree. Each sidecar and the service send what they have in
/// their own time; where one never does, the publish and the delivery are enough.
fn one_trace(target: &Target) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in read_spans(target)? {
            traces.entry(span.trace.clone()).or_default().push(span);
        }
        let late = Instant::now() > deadline;
        let complete = traces
            .into_values()
            .filter(|spans| spans.iter().any(is_publish) && spans.iter().any(is_delivery))
            .filter(|spans| late || spans.iter().any(is_first) && spans.iter().any(is_row))
            .max_by_key(|spans| spans.iter().map(|span| span.start_ns).max());
        if let Some(spans) = complete {
            return Ok(tree(&spans));
        }
        if late {
            bail!("no trace shows both the publish and the delivery of an event");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn is_first(span: &Span) -> bool {
    span.service == "frontend"
}

fn is_row(span: &Span) -> bool {
    span.name == "INSERT lessons"
}

/// What the subscriber does with the event names its topic as well.
fn is_publish(span: &Span) -> bool {
    let topic = span.attributes.get("messaging.destination.name");
    topic.is_some_and(|topic| topic == TOPIC) && span.name.contains("/publish/")
}

fn is_delivery(span: &Span) -> bool {
    span.name == format!("pubsub/{TOPIC}")
}

fn tree(spans: &[Span]) -> String {
    let mut text = format!("trace {}\n", spans[0].trace);
    let known = |id: &str| spans.iter().any(|span| span.id == id);
    let roots: Vec<_> = spans.iter().filter(|span| !known(&span.parent)).collect();
    let begin = spans.iter().map(|span| span.start_ns).min().unwrap_or(0);
    for root in roots {
        branch(spans, root, 1, begin, &mut text);
    }
    text
}

fn branch(spans: &[Span], span: &Span, depth: usize, begin: u64, text: &mut String) {
    let milliseconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
    let topic = span
        .attributes
        .get("messaging.destination.name")
        .map_or_else(String::new, |topic| format!("  messaging.destination.name={topic}"));
    let label = format!("{}{:<16} {}", "  ".repeat(depth), span.service, span.name);
    text.push_str(&format!(
        "{label:<72} +{:>6.1} ms {:>7.1} ms{topic}\n",
        milliseconds(begin, span.start_ns),
        milliseconds(span.start_ns, span.end_ns),
    ));
    let mut children: Vec<_> = spans.iter().filter(|child| child.parent == span.id).collect();
    children.sort_by_key(|child| child.start_ns);
    for child in children {
        branch(spans, child, depth + 1, begin, text);
    }
}

fn addresses(target: &Target, keep: bool) {
    // A cluster that somebody named is theirs: nothing of it is removed.
    if !keep && target.running_lab().is_some() {
        println!("Everything of it is removed now. `cargo xtask demo --keep` leaves it running, to look at.");
        return;
    }
    println!("\nIt is left running. To look at it:\n");
    println!("  export KUBECONFIG={}", target.kubeconfig().display());
    if let Some(lab) = target.running_lab() {
        println!("  export PATH={}:$PATH", lab.parts().file("kubernetes", "").display());
    }
    println!(
        "  kubectl --namespace learnflow port-forward service/frontend 8080:80            # http://127.0.0.1:8080"
    );
    println!(
        "  kubectl --namespace learnflow-system port-forward service/prometheus 9090      # http://127.0.0.1:9090"
    );
    if let Some(lab) = target.running_lab() {
        println!("\nIts end: cargo xtask lab down --name {}", lab.name());
    } else {
        println!(
            "\nIts end: kubectl learnflow uninstall --unenroll --namespace learnflow && kubectl delete namespace learnflow"
        );
    }
}
