//! The verbs that look, explain and help, and change nothing.

use super::parse_timeout;
use crate::{
    config::{Boards, Which},
    permissions::Task,
};
use clap::{Args, ValueEnum};
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// Check the cluster, and what is installed in it
///
/// Looks at everything LearnFlow needs and at everything it has installed, and says of each thing
/// that does not hold what to do about it. Nothing is changed, and no event is sent.
///
/// Exits with 0 when nothing failed, warnings aside, 1 when something did, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Only what must hold before `install`, your permissions for it included
    #[arg(long)]
    pub(crate) pre: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// Everything that was looked at
    Table,
    /// Only what does not hold
    Short,
    Json,
}

/// Print the permissions that a verb needs, as Roles to apply
///
/// Prints a ClusterRole and Roles with exactly what the verbs do in the cluster, for the namespace of
/// the services (-n). The same list is what `install` asks the cluster about before it begins.
/// Needs no cluster when the namespace is given.
#[derive(Debug, Args)]
pub(crate) struct Rbac {
    /// The verbs; all of them when none is named
    #[arg(value_name = "VERB")]
    pub(crate) verbs: Vec<Task>,
    /// Whose Prometheus keeps the metrics, as for `install`
    #[arg(long, value_name = "WHICH", default_value = "own", value_parser = Which::parse)]
    pub(crate) prometheus: Which,
    /// Which Grafana shows the boards, as for `install`
    #[arg(long, value_name = "WHICH", default_value = "own", value_parser = Boards::parse)]
    pub(crate) grafana: Boards,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) output: RbacFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RbacFormat {
    Yaml,
    Json,
}

/// Open a page of the stack through a port of this machine
///
/// Forwards a local port to the page and prints its address. When the pod behind it is replaced, the
/// next request goes to the new one. Ends with Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Dashboard {
    /// Which page; the first of them that is installed when none is named
    pub(crate) page: Option<Page>,
    /// Address to listen on; anything but a loopback address can be reached by others
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub(crate) port: u16,
    /// Only print the address, open no browser
    #[arg(long)]
    pub(crate) no_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    Grafana,
    Prometheus,
    Traces,
}

/// Collect what somebody needs to help you into one archive
///
/// Takes our objects, the enrolled services and their pods, events, logs, `status`, `check` and
/// versions. Secrets, tokens and passwords are removed; none of your Secrets is even read, and your
/// kubeconfig is not part of it. Look into the archive before you give it away all the same.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// File to write [default: learnflow-bundle-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How far logs and events go back
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_timeout)]
    pub(crate) since: Duration,
    /// Most that is collected, before it is compressed; logs stop there
    #[arg(long, value_name = "SIZE", default_value = "50Mi", value_parser = parse_size)]
    pub(crate) max_size: u64,
}

/// Print the completion script for a shell
///
/// For kubectl's own completion of `kubectl learnflow`, put a link with the name
/// kubectl_complete-learnflow to this program into a folder of your PATH.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Pwsh,
    Elvish,
}

/// Write the man pages to a folder
#[derive(Debug, Args)]
pub(crate) struct ManPages {
    pub(crate) folder: PathBuf,
}

/// Reads `50Mi`, `1Gi`, `500000`.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write for example 50Mi or 1Gi");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match &text[digits..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(size) if size >= 1 << 20 => Ok(size),
        Some(_) => Err("less than 1Mi holds nothing of use".into()),
        None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("50Mi"), Ok(50 << 20));
        assert_eq!(parse_size("2000000"), Ok(2_000_000));
        for wrong in [
            "",
            "Mi",
            "5M",
            "-1",
            "1.5Gi",
            "99999999999999999999",
            "99999999999Gi",
            "10Ki",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
