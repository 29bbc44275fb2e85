//! `completion`, kubectl's own completion of this plugin, and the man pages: all from the one
//! description of the command line.

use crate::{
    cli::{Cli, Completion, Global, ManPages, Shell},
    cluster::{self, Cluster},
    model::Outcome,
    printer::{Printer, Tone},
    problem::Problem,
    text::harmless,
};
use clap::{ColorChoice, CommandFactory};
use clap_complete::{CompletionCandidate, aot, engine};
use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// By this name kubectl asks for completions of `kubectl learnflow …`.
const COMPLETER: &str = "kubectl_complete-learnflow";
const PROGRAM: &str = "kubectl-learnflow";
/// Whoever has pressed Tab does not wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// What cobra calls "these and no file names".
const NO_FILES: &str = ":4";

pub(super) fn run(args: &Completion, printer: &Printer) -> Result<Outcome, Problem> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
        Shell::Pwsh => aot::Shell::PowerShell,
        Shell::Elvish => aot::Shell::Elvish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command().bin_name(PROGRAM), PROGRAM, &mut script);
    printer.data(&String::from_utf8_lossy(&script));
    Ok(Outcome::Good)
}

pub(super) fn man_pages(args: &ManPages) -> Result<Outcome, Problem> {
    let failed = |e: std::io::Error| Problem::new(format!("Cannot write to {}: {e}.", args.folder.display()));
    fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().bin_name(PROGRAM).name(PROGRAM), &args.folder).map_err(failed)?;
    Ok(Outcome::Good)
}

/// Answers kubectl's question when this program was started by that name.
pub(crate) fn complete() -> Option<ExitCode> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = Path::new(args.first()?).file_stem()?.to_owned();
    if name != COMPLETER {
        return None;
    }
    // Without even an empty word there is nothing to complete.
    if args.len() < 2 {
        args.push(OsString::new());
    }
    let last = args.len() - 1;
    let printer = Printer::new(ColorChoice::Never, 0);
    let found = engine::complete(&mut Cli::command(), args, last, None).unwrap_or_default();
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = harmless(&candidate.get_value().to_string_lossy()).into_owned();
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = harmless(help.lines().next().unwrap_or_default()).into_owned();
        printer.data(&if help.is_empty() {
            value + "\n"
        } else {
            format!("{value}\t{help}\n")
        });
    }
    printer.data_line(Tone::Plain, NO_FILES);
    Some(ExitCode::SUCCESS)
}

pub(crate) fn namespaces(begun: &OsStr) -> Vec<CompletionCandidate> {
    ask(begun, async |cluster| cluster.namespaces().await)
}

/// Deployments with a Dapr sidecar.
pub(crate) fn services(begun: &OsStr) -> Vec<CompletionCandidate> {
    ask(begun, async |cluster| {
        let services = cluster.services().await?;
        Ok(services.into_iter().map(|service| service.name).collect())
    })
}

pub(crate) fn contexts(begun: &OsStr) -> Vec<CompletionCandidate> {
    candidates(begun, cluster::contexts(&said()).unwrap_or_default())
}

/// Whatever goes wrong, there is then nothing to offer.
fn ask(
    begun: &OsStr,
    question: impl AsyncFnOnce(&Cluster) -> Result<Vec<String>, Problem>,
) -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let answer = runtime.block_on(async {
        let answer = async { question(&Cluster::connect(&said()).await?).await };
        tokio::time::timeout(PATIENCE, answer).await
    });
    runtime.shutdown_background();
    match answer {
        Ok(Ok(names)) => candidates(begun, names),
        _ => Vec::new(),
    }
}

fn candidates(begun: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let fitting = names.into_iter().filter(|name| name.starts_with(&*begun));
    fitting.map(CompletionCandidate::new).collect()
}

/// What the line so far says about the cluster; the line is not whole, so it cannot be parsed.
fn said() -> Global {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let value = |flags: [&str; 2]| said_of(&words, flags);
    Global {
        kubeconfig: value(["--kubeconfig", "--kubeconfig"]).map(Into::into),
        context: value(["--context", "--context"]),
        namespace: value(["--namespace", "-n"]),
        as_user: value(["--as", "--as"]),
        as_group: value(["--as-group", "--as-group"]).into_iter().collect(),
        request_timeout: PATIENCE,
        color: ColorChoice::Never,
        verbose: 0,
    }
}

/// `--flag value`, `--flag=value`; the last word is the one being completed.
fn said_of(words: &[String], flags: [&str; 2]) -> Option<String> {
    let whole = words.len().saturating_sub(1);
    words[..whole].iter().enumerate().rev().find_map(|(n, word)| {
        if flags.contains(&word.as_str()) {
            return words[..whole].get(n + 1).cloned();
        }
        let (flag, value) = word.split_once('=')?;
        flags.contains(&flag).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_which_cluster() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let context = |line: &str| said_of(&words(line), ["--context", "--context"]);
        assert_eq!(context("x status --context blue -n x"), Some("blue".into()));
        assert_eq!(context("x --context=green status -n x"), Some("green".into()));
        assert_eq!(
            context("x --context a --context b y"),
            Some("b".into()),
            "the last one counts"
        );
        assert_eq!(context("x status --context b"), None, "that one is being typed");
        assert_eq!(
            said_of(&words("x -n shop --exclude c"), ["--namespace", "-n"]),
            Some("shop".into())
        );
    }
}
