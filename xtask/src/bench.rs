//! `cargo xtask bench`: figures, each with its goal. Ratios are taken in one run, against a peer or a floor.

mod browser;
mod collector;
mod daprd;
mod figure;
mod flow;
mod guest;
mod hpa;
mod lag;
mod outages;
mod plugin;
mod simulate;
mod status;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use learnflow_lab::progress;

use crate::artifacts::{self, size};
use figure::Figure;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only the figures whose key begins with this
    #[arg(value_name = "KEY-PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Also write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What gives figures: one that has this key, or several whose keys begin with it and a dot.
struct Measure {
    key: &'static str,
    take: fn() -> Result<Vec<Figure>>,
}

const MEASURES: &[Measure] = &[
    Measure {
        key: "guest.bytes",
        take: guest::bytes,
    },
    Measure {
        key: "guest.pages",
        take: guest::pages,
    },
    Measure {
        key: "guest.publish",
        take: guest::publish,
    },
    Measure {
        key: "guest.added_cost",
        take: guest::added_cost,
    },
    Measure {
        key: "guest.delivery",
        take: guest::delivery,
    },
    Measure {
        key: "guest.other",
        take: guest::other,
    },
    Measure {
        key: "daprd.publish",
        take: daprd::publish,
    },
    Measure {
        key: "collector.cpu",
        take: collector::cpu,
    },
    Measure {
        key: "flow.records_per_s",
        take: flow::records_per_second,
    },
    Measure {
        key: "flow.vs_jq",
        take: flow::against_jq,
    },
    Measure {
        key: "flow.memory",
        take: flow::memory,
    },
    Measure {
        key: "flow.live_latency",
        take: flow::live_latency,
    },
    Measure {
        key: "flow.screen_latency",
        take: collector::screen_latency,
    },
    Measure {
        key: "page.bytes",
        take: browser::page_bytes,
    },
    Measure {
        key: "browser.events_per_s",
        take: browser::events_per_second,
    },
    Measure {
        key: "resilience",
        take: outages::resilience,
    },
    Measure {
        key: "hpa",
        take: hpa::hpa,
    },
    Measure {
        key: "plugin.binary_mb",
        take: plugin_size,
    },
    Measure {
        key: "plugin.help",
        take: plugin::help,
    },
    Measure {
        key: "simulate.calls_per_s",
        take: simulate::calls_per_second,
    },
    Measure {
        key: "install",
        take: plugin::install,
    },
    Measure {
        key: "diff",
        take: plugin::diff,
    },
    Measure {
        key: "hpa.lag_drain",
        take: lag::drain,
    },
    // Last: it fills the cluster.
    Measure {
        key: "status",
        take: status::status,
    },
];

/// Those that are named, or else those that may give figures which begin with `prefix`.
fn wanted(prefix: &str) -> Vec<&'static Measure> {
    let named: Vec<_> = MEASURES
        .iter()
        .filter(|measure| measure.key.starts_with(prefix))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let above = |measure: &&Measure| {
        prefix
            .strip_prefix(measure.key)
            .is_some_and(|rest| rest.starts_with(['.', '_']))
    };
    MEASURES.iter().filter(above).collect()
}

/// A goal that is missed is a figure like any other; only what cannot be measured is an error, and does not keep the
/// rest from being measured.
pub fn run(arguments: Arguments) -> Result<()> {
    let prefix = arguments.prefix.as_str();
    let mut figures = Vec::new();
    let mut failed = Vec::new();
    for measure in wanted(prefix) {
        match (measure.take)() {
            Ok(taken) => figures.extend(taken.into_iter().filter(|figure| figure.key.starts_with(prefix))),
            Err(error) => {
                progress::line(&format!("× {}: {error:#}", measure.key));
                failed.push(measure.key);
            }
        }
    }
    if figures.is_empty() && failed.is_empty() {
        let keys: Vec<_> = MEASURES.iter().map(|measure| measure.key).collect();
        bail!("no figure begins with {prefix}; there are {}", keys.join(", "));
    }
    if !figures.is_empty() {
        print!("{}", figure::table(&figures));
    }
    if let Some(file) = arguments.json {
        let rows: Vec<_> = figures.iter().map(Figure::json).collect();
        std::fs::write(&file, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !failed.is_empty() {
        bail!("cannot measure {}", failed.join(", "));
    }
    Ok(())
}

fn plugin_size() -> Result<Vec<Figure>> {
    let bytes = size(&artifacts::plugin()?)?;
    Ok(vec![
        Figure::new("plugin.binary_mb", bytes as f64 / 1e6, "MB").at_most(20.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_picks_what_may_give_such_figures() {
        let wanted = |prefix: &str| -> Vec<&str> { wanted(prefix).iter().map(|measure| measure.key).collect() };
        assert_eq!(wanted("").len(), MEASURES.len());
        assert_eq!(wanted("guest.p"), ["guest.pages", "guest.publish"]);
        assert_eq!(wanted("guest.publish"), ["guest.publish"]);
        assert_eq!(wanted("hpa.lag_drain"), ["hpa.lag_drain"]);
        assert_eq!(wanted("guest.publish.vs_noop"), ["guest.publish"]);
        assert_eq!(wanted("guest.published"), [""; 0]);
    }
}
