//! `cargo xtask lab …`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use learnflow_lab::{Lab, Life, Scope, Timings};
use learnflow_tests::Target;

use crate::artifacts;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Named {
    /// Which lab; several can run side by side
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the parts that are missing in the cache
    Build(Scoped),
    /// Bring the lab up; a lab that is up stays as it is
    Up(Up),
    /// End the lab and remove everything of it
    Down(Named),
    /// Show whether the lab is up, and what runs in it
    Status(Named),
    /// Put LearnFlow's services on the lab: frontend, course-agent, user-progress
    Services(Named),
    /// Open a shell inside the lab's network and mounts
    Shell(Named),
    #[command(name = "__keeper", hide = true)]
    Keeper {
        name: String,
        #[arg(long)]
        tied: bool,
    },
    #[command(name = "__node", hide = true)]
    Node { name: String },
}

#[derive(Debug, Args)]
struct Scoped {
    /// Only what the demo needs: no KWOK, no metrics-server
    #[arg(long)]
    base: bool,
}

#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scoped: Scoped,
    /// Autoscale as slowly as Kubernetes does by default, for figures; tests want it quick
    #[arg(long)]
    default_timings: bool,
}

impl Scoped {
    fn scope(&self) -> Scope {
        if self.base { Scope::Base } else { Scope::Full }
    }
}

pub fn run(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::Build(scoped) => learnflow_lab::build(scoped.scope()).map(|_| ()),
        Verb::Up(up) => {
            let timings = match up.default_timings {
                true => Timings::Default,
                false => Timings::Short,
            };
            let lab = Lab::up_with(&up.named.name, up.scoped.scope(), timings, Life::Detached)?;
            usage(&lab);
            Ok(())
        }
        Verb::Down(named) => {
            let found = Lab::down(&named.name)?;
            let what = if found { "is gone" } else { "was not there" };
            eprintln!("√ the lab `{}` {what}", named.name);
            Ok(())
        }
        Verb::Status(named) => status(&find(&named.name)?),
        Verb::Services(named) => {
            let lab = find(&named.name)?;
            Target::lab(lab, PathBuf::new(), &artifacts::services_image()?)?.deploy_services()
        }
        Verb::Shell(named) => {
            let lab = find(&named.name)?;
            let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
            lab.inside(&shell)?.status()?;
            Ok(())
        }
        Verb::Keeper { name, tied } => learnflow_lab::run_keeper(&name, tied),
        Verb::Node { name } => learnflow_lab::run_node(&name),
    }
}

fn find(name: &str) -> Result<Lab> {
    match Lab::find(name)? {
        Some(lab) => Ok(lab),
        None => bail!("no lab `{name}` is up: start it with `cargo xtask lab up --name {name}`"),
    }
}

fn usage(lab: &Lab) {
    let kubectl = lab.parts().file("kubernetes", "");
    println!("export KUBECONFIG={}", lab.kubeconfig().display());
    println!("export PATH={}:$PATH", kubectl.display());
    eprintln!(
        "Then `kubectl get pods --all-namespaces` shows it; `cargo xtask lab shell` enters its node; `cargo xtask lab down` ends it."
    );
}

fn status(lab: &Lab) -> Result<()> {
    usage(lab);
    let shown = lab
        .kubectl()
        .args(["get", "nodes,pods", "--all-namespaces"])
        .status()
        .context("cannot run kubectl")?;
    if !shown.success() {
        bail!("the lab `{}` does not answer", lab.name());
    }
    Ok(())
}
