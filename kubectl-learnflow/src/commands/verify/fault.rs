//! Breaking Kafka and putting it back. The note comes first and goes last.

use super::done;
use crate::{
    cluster::Cluster,
    model::Outcome,
    outage::{Fault, Note},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    text::format_duration,
};
use std::{process::Stdio, time::Duration};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

/// How long it is tried to put back what was broken. Then a person must.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(2);

/// Something is broken, or may be, from here on until it is put back.
pub(super) struct Broken<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) note: Note,
    pub(super) printer: &'a Printer,
    /// It is known to be whole.
    whole: bool,
}

impl<'a> Broken<'a> {
    /// Leaves the note. From then on [`Self::put_back`] must follow.
    pub(super) async fn note(
        cluster: &'a Cluster,
        fault: &Fault,
        run: &str,
        printer: &'a Printer,
    ) -> Result<Self, Problem> {
        let now = jiff::Timestamp::now().to_string();
        let note = Note {
            run: run.to_owned(),
            began: now
                .split('.')
                .next()
                .map(|time| format!("{}Z", time.trim_end_matches('Z')))
                .unwrap_or_default(),
            by: cluster.caller().await.unwrap_or_else(|| "somebody".into()),
            fault: fault.clone(),
        };
        cluster.leave_note(&note).await?;
        Ok(Self {
            cluster,
            note,
            printer,
            whole: false,
        })
    }

    pub(super) async fn break_it(&self) -> Result<(), Problem> {
        match &self.note.fault {
            Fault::Scale { object, .. } => self.cluster.take_away(object, &self.note).await,
            Fault::Commands { breaks, .. } => shell(breaks, "--break").await,
        }
    }

    /// Puts it back, and forgets it. Tries until it works, or a person must.
    pub(super) async fn put_back(&mut self) -> Result<(), Problem> {
        if self.whole {
            return Ok(());
        }
        let ended = undo(self.cluster, &self.note.fault, self.printer).await;
        self.whole = ended.is_ok();
        ended
    }
}

/// Undoes a fault and takes its note away.
async fn undo(cluster: &Cluster, fault: &Fault, printer: &Printer) -> Result<(), Problem> {
    let began = Instant::now();
    loop {
        let ended = once(cluster, fault).await;
        let problem = match ended {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        };
        // There is nothing left to put back.
        if problem.kind == Kind::NotFound {
            printer.problem(&problem);
            return cluster.forget_note().await;
        }
        if problem.kind == Kind::Forbidden || began.elapsed() >= PATIENCE || matches!(fault, Fault::Commands { .. }) {
            let what = format!("KAFKA IS STILL AWAY: {}. {}", fault.what(), problem.what);
            return Err(Problem::new(what).next(format!("Bring it back by hand: {}", fault.by_hand())));
        }
        printer.waiting(&format!("to put Kafka back: {}", problem.what));
        sleep(PAUSE).await;
    }
}

async fn once(cluster: &Cluster, fault: &Fault) -> Result<(), Problem> {
    match fault {
        Fault::Scale { object, replicas } => cluster.bring_back(object, *replicas).await?,
        Fault::Commands { restores, .. } => shell(restores, "--restore").await?,
    }
    cluster.forget_note().await
}

/// Undoes what an earlier run has left.
pub(super) async fn restore(cluster: &Cluster, command: Option<&str>, printer: &Printer) -> Result<Outcome, Problem> {
    let Some(note) = cluster.note().await? else {
        done(
            printer,
            &format!(
                "Nothing is broken: no failure simulation has left a note in namespace {}",
                cluster.namespace
            ),
        );
        return Ok(Outcome::Good);
    };
    let fault = match (&note.fault, command) {
        (Fault::Scale { .. }, None) => note.fault.clone(),
        (Fault::Scale { .. }, Some(_)) => {
            return Err(
                Problem::new(format!("No command has broken it: {}.", note.fault.what()))
                    .next("Give --restore without a command."),
            );
        }
        (Fault::Commands { .. }, None) => {
            return Err(Problem::new(format!("{}.", note.sentence())).next(note.next(&cluster.namespace)));
        }
        (Fault::Commands { breaks, .. }, Some(command)) => Fault::Commands {
            breaks: breaks.clone(),
            restores: command.to_owned(),
        },
    };
    printer.step(Mark::Warn, &note.sentence());
    undo(cluster, &fault, printer).await?;
    done(
        printer,
        &match &fault {
            Fault::Scale { object, replicas } => format!("{object} is scaled to {replicas} again"),
            Fault::Commands { restores, .. } => format!("`{restores}` has ended well"),
        },
    );
    Ok(Outcome::Good)
}

/// For verbs that look: something is broken on purpose.
pub(super) async fn warn_of_note(cluster: &Cluster, printer: &Printer) -> Result<(), Problem> {
    if let Some(note) = cluster.note().await? {
        printer.step(Mark::Warn, &note.sentence());
        printer.hint(&note.next(&cluster.namespace));
    }
    Ok(())
}

/// Waits until Kafka is gone; false: somebody has put it back meanwhile.
pub(super) async fn gone(cluster: &Cluster, fault: &Fault, printer: &Printer) -> Result<bool, Problem> {
    let Fault::Scale { object, .. } = fault else {
        return Ok(true);
    };
    loop {
        let standing = patient(cluster, object).await?;
        if standing.wanted > 0 {
            return Ok(false);
        }
        if standing.pods == 0 {
            return Ok(true);
        }
        printer.waiting(&format!(
            "the end of {} of {object}",
            crate::text::count(standing.pods, "pod")
        ));
        sleep(LOOK).await;
    }
}

/// Waits until Kafka is ready again.
pub(super) async fn ready(cluster: &Cluster, fault: &Fault, printer: &Printer) -> Result<(), Problem> {
    let Fault::Scale { object, .. } = fault else {
        return Ok(());
    };
    let began = Instant::now();
    loop {
        let standing = patient(cluster, object).await?;
        if standing.wanted > 0 && standing.ready >= standing.wanted {
            return Ok(());
        }
        printer.waiting(&format!(
            "{object}: {}/{} ready after {}",
            standing.ready,
            standing.wanted,
            format_duration(Duration::from_secs(began.elapsed().as_secs().max(1)))
        ));
        sleep(LOOK).await;
    }
}

const LOOK: Duration = Duration::from_millis(250);

/// An API server that is away for a moment is no reason to stop looking.
async fn patient(cluster: &Cluster, object: &crate::objects::ObjectRef) -> Result<crate::cluster::Standing, Problem> {
    loop {
        match cluster.standing(object).await {
            Err(problem) if problem.kind == Kind::Unreachable => sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

/// A command of the user's. In a group of its own: the Ctrl-C that ends an experiment must not end what undoes it.
async fn shell(command: &str, flag: &str) -> Result<(), Problem> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    shell.process_group(0);
    let output = shell.output().await;
    let output = output.map_err(|e| Problem::new(format!("Cannot run the command of {flag}: {e}.")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or("it said nothing");
    Err(Problem::new(format!(
        "The command of {flag} ended with {} ({said}): `{command}`.",
        output.status
    )))
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
