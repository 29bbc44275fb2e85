//! One verb a file. A verb takes a cluster and a printer and returns how it ended.

mod adapter;
mod applier;
mod budget;
mod bundle;
mod chart;
mod check;
mod chosen;
pub(crate) mod completion;
mod confirm;
mod coverage;
mod dashboard;
mod demo;
mod diff;
mod dlq;
mod enrol;
mod enrol_some;
mod enrolled_sidecars;
mod explain;
mod flow;
mod graph;
mod guard;
mod host;
mod install;
mod kafka;
mod keeper;
mod middleware;
mod policies;
mod prune;
mod rbac;
mod render;
mod rivals;
mod scaling;
mod signals;
mod simulate;
mod states;
mod status;
mod top;
mod trace;
mod ui;
mod uninstall;
mod verify;
mod version;

use crate::{
    cli::{Choice, Cli, Global, Verb},
    cluster::Cluster,
    config::Settings,
    model::Outcome,
    printer::Printer,
    problem::Problem,
};
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

/// What a shell calls a process that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Runs the command; the exit code says how it went.
pub(crate) fn run(cli: Cli, printer: &Arc<Printer>) -> ExitCode {
    let changes = match &cli.verb {
        Verb::Install(_) | Verb::Enroll(_) | Verb::Unenroll(_) | Verb::Uninstall(_) => true,
        Verb::Dlq(dlq) => dlq.sends(),
        _ => false,
    };
    // Ctrl-C is how these are meant to end.
    let endless = match &cli.verb {
        Verb::Dashboard(_) => true,
        Verb::Status(status) => status.watch,
        Verb::Flow(flow) => flow.follow,
        Verb::Ui(ui) => ui.page.export.is_none(),
        Verb::Demo(demo) => demo.is_endless(),
        Verb::Top(args) => top::moves(args),
        _ => false,
    };
    // Who has broken something must put it back first.
    let catches = matches!(cli.verb, Verb::Verify(_));
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                ended = dispatch(cli, printer) => Some(ended),
                _ = tokio::signal::ctrl_c(), if !catches => None,
            }
        }),
        Err(e) => Some(Err(Problem::new(format!("Cannot start: {e}.")))),
    };
    let closed = printer.close();
    match ended {
        None if endless => exit_code(Ok(Outcome::Good), closed, printer),
        None => {
            if changes {
                printer.hint("Interrupted. Run the same command again: it goes on where it stopped.");
            }
            ExitCode::from(INTERRUPTED)
        }
        Some(ended) => exit_code(ended, closed, printer),
    }
}

fn exit_code(ended: Result<Outcome, Problem>, closed: Result<bool, Problem>, printer: &Printer) -> ExitCode {
    match (ended, closed) {
        (Err(problem), _) | (_, Err(problem)) => {
            printer.problem(&problem);
            ExitCode::from(2)
        }
        // Whoever read the output has seen enough.
        (Ok(Outcome::Good | Outcome::Bad), Ok(false)) | (Ok(Outcome::Good), _) => ExitCode::SUCCESS,
        (Ok(Outcome::Bad), _) => ExitCode::from(1),
        (Ok(Outcome::Interrupted), _) => ExitCode::from(INTERRUPTED),
    }
}

async fn dispatch(cli: Cli, printer: &Arc<Printer>) -> Result<Outcome, Problem> {
    let global = &cli.global;
    match cli.verb {
        Verb::Version(args) => version::run(&args, global, printer).await,
        Verb::Rbac(args) => rbac::run(&args, global, printer).await,
        Verb::Completion(args) => completion::run(&args, printer),
        Verb::ManPages(args) => completion::man_pages(&args),
        Verb::Simulate(args) => simulate::run(&args, global, printer).await,
        Verb::Check(args) => check::run(&Cluster::connect_for_ports(global).await?, &args, printer).await,
        Verb::Bundle(args) => bundle::run(&Cluster::connect_for_ports(global).await?, &args, printer).await,
        Verb::Dashboard(args) => dashboard::run(&Cluster::connect_for_streams(global).await?, &args, printer).await,
        Verb::Install(args) => {
            let settings = Settings::read(&args.choice, global)?;
            let cluster = enduring(connect(global, &settings).await?, args.timeout, printer);
            install::run(&cluster, &args, settings, printer).await
        }
        Verb::Diff(args) => {
            let settings = Settings::read(&args.choice, global)?;
            let cluster = connect(global, &settings).await?;
            diff::run(&cluster, &args, settings, printer).await
        }
        Verb::Explain(args) => explain::run(&args, global, printer).await,
        Verb::Flow(args) => flow::run(&args, global, printer).await,
        Verb::Top(args) => top::run(&args, global, printer).await,
        Verb::Graph(args) => graph::run(&args, global, printer).await,
        Verb::Trace(args) => trace::run(&args, global, printer).await,
        Verb::Coverage(args) => coverage::run(&args, global, printer).await,
        Verb::Ui(args) => ui::run(&args, global, printer).await,
        Verb::Demo(args) => demo::run(args, global, printer).await,
        Verb::Dlq(args) => dlq::run(&args, global, printer).await,
        Verb::Render(args) => render::run(&args, global, printer).await,
        Verb::Status(args) => {
            let settings = of_file(args.file.as_deref(), global)?;
            let cluster = Cluster::connect(global).await?;
            status::run(&places(&cluster, &settings), &args, printer).await
        }
        Verb::Enroll(args) => {
            let settings = of_file(args.file.as_deref(), global)?;
            let cluster = enduring(Cluster::connect(global).await?, args.timeout, printer);
            enrol_some::enroll(&places(&cluster, &settings), &args, &settings, printer).await
        }
        Verb::Unenroll(args) => {
            let settings = of_file(args.file.as_deref(), global)?;
            let cluster = enduring(Cluster::connect(global).await?, args.timeout, printer);
            enrol_some::unenroll(&places(&cluster, &settings), &args, printer).await
        }
        Verb::Uninstall(args) => {
            let settings = of_file(args.file.as_deref(), global)?;
            let cluster = enduring(Cluster::connect(global).await?, args.timeout, printer);
            uninstall::run(&places(&cluster, &settings), &args, printer).await
        }
        Verb::Verify(args) => {
            let cluster = enduring(Cluster::connect(global).await?, args.patience(), printer);
            let ports = Cluster::connect_for_streams(global).await?;
            verify::run(&cluster, &ports, &args, printer).await
        }
    }
}

/// A command that changes things does not give up half way for an API server that restarts.
fn enduring(cluster: Cluster, patience: Duration, printer: &Arc<Printer>) -> Cluster {
    let printer = Arc::clone(printer);
    cluster.endure(patience, move |problem| printer.trouble(problem));
    cluster
}

/// The namespaces may also stand in the settings; the first counts where one is meant.
async fn connect(global: &Global, settings: &Settings) -> Result<Cluster, Problem> {
    let cluster = Cluster::connect(global).await?;
    Ok(places(&cluster, settings).swap_remove(0))
}

/// The same cluster, once for each namespace of the services.
fn places(cluster: &Cluster, settings: &Settings) -> Vec<Cluster> {
    let there = |namespace: &String| {
        let mut there = cluster.clone();
        there.namespace.clone_from(namespace);
        there
    };
    match settings.namespaces.value.as_slice() {
        [] => vec![cluster.clone()],
        namespaces => namespaces.iter().map(there).collect(),
    }
}

/// A name that no other run has.
fn new_run() -> Result<String, Problem> {
    let mut run = [0u8; 8];
    getrandom::fill(&mut run).map_err(|e| Problem::new(format!("No random number: {e}.")))?;
    Ok(run.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a file says to a verb that has no other settings.
fn of_file(file: Option<&Path>, global: &Global) -> Result<Settings, Problem> {
    let choice = Choice {
        file: file.map(Path::to_owned),
        ..Choice::default()
    };
    Settings::read(&choice, global)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::tests::captured;

    #[test]
    fn exit_codes_say_how_it_went() {
        let (printer, _, err) = captured();
        // ExitCode can only be compared by how it prints itself.
        let code = |ended, closed| format!("{:?}", exit_code(ended, closed, &printer));
        let is = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(Outcome::Good), Ok(true)), is(0));
        assert_eq!(code(Ok(Outcome::Bad), Ok(true)), is(1));
        assert_eq!(code(Err(Problem::new("No.").next("Do this.")), Ok(true)), is(2));
        assert_eq!(
            code(Ok(Outcome::Bad), Ok(false)),
            is(0),
            "a closed pipe is a quiet success"
        );
        assert_eq!(code(Ok(Outcome::Good), Err(Problem::new("Disk full."))), is(2));
        assert_eq!(err.text(), "× No.\n    Do this.\n× Disk full.\n");
    }
}
