//! Whose Prometheus keeps the metrics. What was chosen once stays until a person says otherwise: nothing is
//! switched because somebody else installed a Prometheus meanwhile.

use super::rivals::Rivals;
use crate::{
    cluster::Cluster,
    concern::Concern,
    config::{Setting, Settings, Source, Which},
    monitoring::{Candidate, Home, JOBS, Keeper, Operated},
    objects::STACK_NAMESPACE,
    preflight::Check,
    problem::{Kind, Problem},
    stack,
    text::list,
};

const RIVALS: Rivals = Rivals {
    kind: "Prometheus",
    several: "objects Prometheus",
    flag: "--prometheus",
};

/// Who it is, and what there is to say about that.
pub(super) struct Chosen {
    pub(super) keeper: Keeper,
    pub(super) checks: Vec<Check>,
}

/// A choice, and whatever else is worth saying about it.
type Judged = Result<Chosen, Problem>;

pub(super) async fn choose(cluster: &Cluster, settings: &Settings) -> Judged {
    let installed = cluster.keeper().await;
    if !settings.concerns.value.has(Concern::Prometheus) {
        return Ok(Chosen::silently(installed?.unwrap_or_default()));
    }
    let Some(which) = &settings.prometheus.value else {
        return match installed? {
            None => automatic(cluster).await,
            // What it selects may have changed since.
            Some(Keeper::Operated(before)) => operated(cluster, &before.namespace, &before.name).await,
            Some(Keeper::Plain(address)) => plain(cluster, Keeper::Plain(address)).await,
            Some(Keeper::Own) => Ok(Chosen::silently(Keeper::Own)),
        };
    };
    let mut chosen = match which {
        Which::Own => Chosen::silently(Keeper::Own),
        Which::Operated { namespace, name } => operated(cluster, namespace, name).await?,
        Which::Service(address) => plain(cluster, Keeper::Plain(address.clone())).await?,
    };
    // An annotation that cannot be read is no reason not to write it anew.
    if let Ok(Some(before)) = installed
        && before.to_string() != chosen.keeper.to_string()
    {
        let what = format!("{} takes over from {before}", chosen.keeper);
        let next = match before {
            Keeper::Own => {
                "It begins with nothing. LearnFlow's own Prometheus is removed in the end; a volume of it stays."
            }
            _ => "It begins with nothing. LearnFlow's monitors and rules are removed from the other one in the end.",
        };
        chosen.checks.push(Check::warn(what, next));
    }
    Ok(chosen)
}

/// The same as a setting, for whoever wants to see or keep it.
pub(super) fn setting(settings: &mut Settings, keeper: &Keeper) {
    if settings.prometheus.value.is_some() {
        return;
    }
    let value = match keeper {
        Keeper::Own => Which::Own,
        Keeper::Plain(address) => Which::Service(address.clone()),
        Keeper::Operated(operated) => Which::Operated {
            namespace: operated.namespace.clone(),
            name: operated.name.clone(),
        },
    };
    settings.prometheus = Setting {
        value: Some(value),
        from: Source::Cluster,
    };
}

/// Who that is, before anybody has looked.
pub(super) fn assumed(which: &Which) -> Keeper {
    match which {
        Which::Own => Keeper::Own,
        Which::Service(address) => Keeper::Plain(address.clone()),
        Which::Operated { namespace, name } => {
            Keeper::Operated(Box::new(Operated::assumed(namespace, name, STACK_NAMESPACE)))
        }
    }
}

/// Nothing was chosen and nothing is there: the only Prometheus that an Operator runs, or our own.
async fn automatic(cluster: &Cluster) -> Judged {
    let found = match cluster.prometheuses().await {
        Ok(found) => found,
        Err(problem) if problem.kind == Kind::Forbidden => {
            let what = format!("Whether there is a Prometheus already was not looked at: {problem}");
            let next = "LearnFlow brings its own. Name another one with --prometheus.";
            return Ok(Chosen::with(Keeper::Own, vec![Check::warn(what, next)]));
        }
        Err(problem) => return Err(problem),
    };
    let one = match found.as_slice() {
        [] => return Ok(Chosen::silently(Keeper::Own)),
        [one] => one,
        several => {
            let names: Vec<String> = several.iter().map(name).collect();
            return Err(RIVALS.too_many(&names));
        }
    };
    match one.judge(&home(cluster).await?) {
        Ok(judged) => {
            let mut chosen = Chosen::operated(judged);
            chosen.checks[0].next = Some("LearnFlow brings none of its own. ".to_owned() + &RIVALS.own());
            Ok(chosen)
        }
        Err(why) => {
            let (what, next) = RIVALS.passed_over(&name(one), &why);
            Ok(Chosen::with(Keeper::Own, vec![Check::warn(what, next)]))
        }
    }
}

async fn operated(cluster: &Cluster, namespace: &str, wanted: &str) -> Judged {
    let found = cluster.prometheuses().await?;
    let is_it = |one: &&Candidate| one.namespace == namespace && one.name == wanted;
    let Some(one) = found.iter().find(is_it) else {
        let names: Vec<String> = found.iter().map(name).collect();
        return Err(RIVALS.absent(&format!("object Prometheus {namespace}/{wanted}"), &names));
    };
    let judged = one.judge(&home(cluster).await?);
    judged
        .map(Chosen::operated)
        .map_err(|why| RIVALS.unfit(&name(one), &why))
}

/// One whose configuration is its owner's: it must have our jobs already, or nobody would ever see a metric.
async fn plain(cluster: &Cluster, keeper: Keeper) -> Judged {
    let address = keeper.address();
    let jobs = cluster.scrape_jobs(&address).await?;
    let missing: Vec<&str> = JOBS
        .into_iter()
        .filter(|job| !jobs.iter().any(|have| have == job))
        .collect();
    let check = match missing.as_slice() {
        [] => Check::good(format!("The Prometheus at {address} has LearnFlow's scrape jobs")),
        missing => Check::bad(
            format!("The Prometheus at {address} has no scrape job {}", list(missing)),
            format!(
                "`kubectl learnflow render --prometheus {address} --output-dir FOLDER` writes them to FOLDER/prometheus, \
                 with the rules. Add them to its configuration, and run this again."
            ),
        ),
    };
    Ok(Chosen::with(keeper, vec![check]))
}

/// Our own namespace, as it is or as we would make it.
async fn home(cluster: &Cluster) -> Result<Home, Problem> {
    let made = Home::made(&stack::home()?);
    Ok(cluster.foreign_home().await?.unwrap_or(made))
}

fn name(candidate: &Candidate) -> String {
    format!("{}/{}", candidate.namespace, candidate.name)
}

/// What `check` says of those that are there.
pub(super) async fn found(cluster: &Cluster) -> Result<Vec<Check>, Problem> {
    let found = cluster.prometheuses().await?;
    let home = home(cluster).await?;
    let alone = found.len() == 1;
    let checks = found.iter().map(|one| match one.judge(&home) {
        Ok(_) if alone => Check::good(format!("Prometheus {} can keep the metrics", name(one))),
        Ok(_) => Check::good(format!(
            "Prometheus {} can keep the metrics: `install --prometheus {0}`",
            name(one)
        )),
        Err(why) => Check::warn(
            format!("Prometheus {} cannot keep the metrics: {why}", name(one)),
            "LearnFlow brings its own, or change that.",
        ),
    });
    Ok(checks.collect())
}

impl Chosen {
    fn with(keeper: Keeper, checks: Vec<Check>) -> Self {
        Self { keeper, checks }
    }

    fn silently(keeper: Keeper) -> Self {
        Self::with(keeper, Vec::new())
    }

    fn operated((operated, remarks): (Operated, Vec<String>)) -> Self {
        let (spot, rules) = (&operated.monitors, &operated.rules);
        let mut place = format!("monitors in {}", spot.namespace);
        if let Some(rules) = rules.as_ref().filter(|rules| rules.namespace != spot.namespace) {
            place = format!("{place}, rules in {}", rules.namespace);
        }
        let labels = spot.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let labels: Vec<String> = labels.collect();
        if !labels.is_empty() {
            place = format!("{place}, labelled {}", labels.join(", "));
        }
        let keeper = Keeper::Operated(Box::new(operated));
        let mut checks = vec![Check::good(format!("{keeper} keeps the metrics ({place})"))];
        let next = format!(
            "See the object Prometheus, and what it says of its selectors. {}",
            RIVALS.own()
        );
        checks.extend(remarks.into_iter().map(|remark| Check::warn(remark, next.clone())));
        Self::with(keeper, checks)
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
