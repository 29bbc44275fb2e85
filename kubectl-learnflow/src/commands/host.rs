//! Which Grafana shows the boards. As with the Prometheus, what was chosen once stays until a person says otherwise.

use super::rivals::Rivals;
use crate::{
    cluster::Cluster,
    concern::Concern,
    config::{Boards, Setting, Settings, Source},
    grafana::{Candidate, Host, Theirs},
    monitoring::Spot,
    objects::STACK_NAMESPACE,
    preflight::Check,
    problem::{Kind, Problem},
};

const RIVALS: Rivals = Rivals {
    kind: "Grafana",
    several: "Grafanas that take boards",
    flag: "--grafana",
};

/// Who it is, and what there is to say about that.
type Judged = Result<(Host, Vec<Check>), Problem>;

pub(super) async fn choose(cluster: &Cluster, settings: &Settings) -> Judged {
    let installed = cluster.host().await;
    if !settings.concerns.value.has(Concern::Grafana) {
        return Ok((installed?.unwrap_or_default(), Vec::new()));
    }
    let Some(which) = &settings.grafana.value else {
        return match installed? {
            None => automatic(cluster).await,
            // Where its sidecar looks may have changed since.
            Some(Host::Existing(before)) => existing(cluster, &before.namespace, &before.name).await,
            Some(host) => Ok((host, Vec::new())),
        };
    };
    let (host, mut checks) = match which {
        Boards::Existing { namespace, name } => existing(cluster, namespace, name).await?,
        known => (assumed(known), Vec::new()),
    };
    // An annotation that cannot be read is no reason not to write it anew.
    if let Ok(Some(before)) = installed
        && before.to_string() != host.to_string()
    {
        let what = format!("{host} takes over from {before}");
        checks.push(Check::warn(
            what,
            "LearnFlow's boards are removed from the other one in the end.",
        ));
    }
    Ok((host, checks))
}

/// The same as a setting, for whoever wants to see or keep it.
pub(super) fn setting(settings: &mut Settings, host: &Host) {
    if settings.grafana.value.is_some() {
        return;
    }
    let value = match host {
        Host::Own => Boards::Own,
        Host::None => Boards::None,
        Host::Existing(theirs) => Boards::Existing {
            namespace: theirs.namespace.clone(),
            name: theirs.name.clone(),
        },
    };
    settings.grafana = Setting {
        value: Some(value),
        from: Source::Cluster,
    };
}

/// Who that is, before anybody has looked.
pub(super) fn assumed(which: &Boards) -> Host {
    match which {
        Boards::Own => Host::Own,
        Boards::None => Host::None,
        Boards::Existing { namespace, name } => {
            Host::Existing(Box::new(Theirs::assumed(namespace, name, STACK_NAMESPACE)))
        }
    }
}

/// Nothing was chosen and nothing is there: the only Grafana that takes boards, or our own.
async fn automatic(cluster: &Cluster) -> Judged {
    let found = match cluster.grafanas().await {
        Ok(found) => found,
        Err(problem) if problem.kind == Kind::Forbidden => {
            let what = format!("Whether there is a Grafana already was not looked at: {problem}");
            let next = "LearnFlow brings its own. Name another one with --grafana.";
            return Ok((Host::Own, vec![Check::warn(what, next)]));
        }
        Err(problem) => return Err(problem),
    };
    let judged = found.iter().map(|one| (one, one.judge()));
    let (good, bad): (Vec<_>, Vec<_>) = judged.partition(|(_, judged)| judged.is_ok());
    match good.as_slice() {
        [] => {
            let remark = |(one, why): (&Candidate, Result<Theirs, String>)| {
                let (what, next) = RIVALS.passed_over(&name(one), &why.err().unwrap_or_default());
                Check::warn(what, next)
            };
            Ok((Host::Own, bad.into_iter().map(remark).collect()))
        }
        [(_, Ok(theirs))] => {
            let (host, mut checks) = told(theirs.clone());
            checks[0].next = Some("LearnFlow brings none of its own. ".to_owned() + &RIVALS.own());
            Ok((host, checks))
        }
        several => {
            let names: Vec<String> = several.iter().map(|(one, _)| name(one)).collect();
            Err(RIVALS.too_many(&names))
        }
    }
}

async fn existing(cluster: &Cluster, namespace: &str, wanted: &str) -> Judged {
    let found = cluster.grafanas().await?;
    let is_it = |one: &&Candidate| one.namespace == namespace && one.name == wanted;
    let Some(one) = found.iter().find(is_it) else {
        let names: Vec<String> = found.iter().map(name).collect();
        let what =
            format!("Deployment or StatefulSet {namespace}/{wanted} with the label app.kubernetes.io/name=grafana");
        return Err(RIVALS.absent(&what, &names));
    };
    let judged = one.judge().map_err(|why| RIVALS.unfit(&name(one), &why));
    judged.map(told)
}

fn told(theirs: Theirs) -> (Host, Vec<Check>) {
    let Spot { namespace, labels } = &theirs.boards;
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let place = format!("a ConfigMap in {namespace}, labelled {}", labels.join(", "));
    let host = Host::Existing(Box::new(theirs));
    let checks = vec![Check::good(format!("{host} shows the boards ({place})"))];
    (host, checks)
}

fn name(candidate: &Candidate) -> String {
    format!("{}/{}", candidate.namespace, candidate.name)
}

/// What `check` says of those that are there.
pub(super) async fn found(cluster: &Cluster) -> Result<Vec<Check>, Problem> {
    let found = cluster.grafanas().await?;
    let checks = found.iter().map(|one| match one.judge() {
        Ok(_) => Check::good(format!("Grafana {} can show the boards", name(one))),
        Err(why) => Check::warn(
            format!("Grafana {} cannot show the boards: {why}", name(one)),
            "LearnFlow brings its own, or change that.",
        ),
    });
    Ok(checks.collect())
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
