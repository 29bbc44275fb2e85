//! The part of `simulate` that asks what an autoscaler does under a load.

use super::SimulateFormat;
use crate::{cli::parse_timeout, commands::completion, config, text::parse_duration};
use clap::Args;
use clap_complete::ArgValueCompleter;
use learnflow_autoscaling::milli;
use std::{path::PathBuf, time::Duration};

/// Say how many pods an autoscaler makes of a load, before it does
///
/// Simulates a HorizontalPodAutoscaler as kube-controller-manager 1.34 runs it, with metrics-server before it and pods that
/// take time to start. Shows pods over time, how much of the load is not done, pod-hours, and how often it changes its
/// mind. No load is made, and nothing is changed.
///
/// A load is points TIME=VALUE with lines between them, as 0=200m,5m=1500m,20m=200m, or the name of a file: lines of
/// time,value (CSV), or what Prometheus answered to a range query (JSON).
///
/// Exits with 0 when the load is done, but while new pods start, and no pod is taken away and soon wanted back; 1 when not;
/// 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct SimulateAutoscaling {
    /// The service, by the name of its Deployment; its autoscaler, requests and limits are those of the cluster, unless
    /// files are named
    #[arg(value_name = "SERVICE", value_parser = config::name, add = ArgValueCompleter::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Files with a HorizontalPodAutoscaler, and its Deployment if it has requests and limits
    #[arg(short = 'f', long = "filename", value_name = "FILE", num_args = 1.., conflicts_with = "shipped")]
    pub(crate) files: Vec<PathBuf>,
    /// Take the autoscaler that LearnFlow installs
    #[arg(long)]
    pub(crate) shipped: bool,
    /// CPU that all pods together are asked for: points TIME=VALUE, or a file
    #[arg(long, value_name = "CURVE", required_unless_present = "arrivals")]
    pub(crate) load: Option<String>,
    /// Events that arrive, as 0=50/s,5m=400/s, or a file
    #[arg(long, value_name = "CURVE", requires = "drain")]
    pub(crate) arrivals: Option<String>,
    /// Events that one pod can do, as 50/s
    #[arg(long, value_name = "RATE", value_parser = crate::cli::explain::parse_rate, requires = "arrivals")]
    pub(crate) drain: Option<f64>,
    /// Partitions of the topic: no more pods than that get events
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) partitions: Option<u32>,
    /// CPU that a pod takes for one event a second
    #[arg(long, value_name = "CPU", value_parser = cpu, requires = "arrivals")]
    pub(crate) event_cpu: Option<i64>,
    /// A value stays until the next point, instead of a line between them
    #[arg(long)]
    pub(crate) steps: bool,
    /// CPU that the container requests [default: as its Deployment says]
    #[arg(long, value_name = "CPU", value_parser = cpu)]
    pub(crate) request: Option<i64>,
    /// CPU that one pod can use at most [default: the limit of its Deployment]
    #[arg(long, value_name = "CPU", value_parser = cpu)]
    pub(crate) capacity: Option<i64>,
    /// CPU that a pod takes without any load
    #[arg(long, value_name = "CPU", value_parser = cpu, default_value = "0")]
    pub(crate) idle: i64,
    /// Memory that a pod takes, for a metric of memory
    #[arg(long, value_name = "MEMORY", value_parser = cpu)]
    pub(crate) memory: Option<i64>,
    /// From a pod's creation until it is ready
    #[arg(long, value_name = "DURATION", default_value = "12s", value_parser = parse_timeout)]
    pub(crate) startup: Duration,
    /// How many pods there are when it begins [default: as many as the first value of the load comes to]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) replicas: Option<i32>,
    /// How long the load keeps its last value
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_timeout)]
    pub(crate) tail: Duration,
    /// Propose targets and behaviour that hold under this load, with as few pod-hours as possible
    #[arg(long)]
    pub(crate) fit: bool,
    /// Where chance begins: the same number gives the same result
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) seed: u64,
    /// How often it is simulated, each time with another chance
    #[arg(long, value_name = "NUMBER", default_value = "25", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: SimulateFormat,
    #[command(flatten)]
    pub(crate) flags: ControllerFlags,
}

/// As the cluster runs them. The defaults are theirs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flags of kube-controller-manager and metrics-server")]
pub(crate) struct ControllerFlags {
    /// --horizontal-pod-autoscaler-sync-period
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_timeout)]
    pub(crate) sync_period: Duration,
    /// --horizontal-pod-autoscaler-tolerance
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share)]
    pub(crate) tolerance: f64,
    /// --horizontal-pod-autoscaler-downscale-stabilization
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(crate) downscale_stabilization: Duration,
    /// --horizontal-pod-autoscaler-cpu-initialization-period
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(crate) cpu_initialization_period: Duration,
    /// --horizontal-pod-autoscaler-initial-readiness-delay
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) initial_readiness_delay: Duration,
    /// --metric-resolution of metrics-server
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_timeout)]
    pub(crate) metric_resolution: Duration,
    /// How often who serves external metrics looks at them; 0 when it is asked
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub(crate) external_interval: Duration,
}

/// In thousandths.
fn cpu(text: &str) -> Result<i64, String> {
    milli(text)
        .filter(|milli| *milli >= 0)
        .ok_or_else(|| format!("`{text}` is not a quantity; write for example 250m, 1.5 or 128Mi"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is not a share; write for example 0.1"))
}
