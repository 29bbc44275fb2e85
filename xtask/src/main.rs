//! The project's own commands. `cargo xtask help` lists them.

#[cfg(test)]
mod agreement;
mod ahead;
mod artifacts;
mod bench;
mod boards;
mod ci;
mod demo;
mod dist;
mod fuzz;
mod host;
mod lab;
mod sbom;
mod test;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at work: a cluster, Dapr, Kafka, LearnFlow's services, 200 lessons, what is seen of them
    Demo(demo::Arguments),
    /// Run all tests, those on a cluster included
    Test(test::Arguments),
    /// Measure: ratios against a peer or a floor, in one run
    Bench(bench::Arguments),
    /// Make the boards for Grafana of their sources: dashboards/grafana/. And draw pictures of them
    Boards(boards::Arguments),
    /// Send random calls through the middleware, in the host that Dapr embeds
    Fuzz(fuzz::Arguments),
    /// Formatting, lints, licences: what the tests do not look at
    Ci,
    /// A real cluster on this machine: Kubernetes, Dapr, Kafka
    Lab(lab::Arguments),
    /// Make a release for this platform: the program, completions, man pages, krew manifest, checksums, SBOM
    Dist(dist::Arguments),
    /// Build the middleware: target/wasm/learnflow.wasm, and beside it the filter for Envoy and what the page of `ui` runs
    Wasm,
    #[command(name = ahead::VERB, hide = true)]
    Ahead,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Boards(arguments) => boards::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(arguments),
        Command::Ci => ci::run(),
        Command::Lab(arguments) => lab::run(arguments),
        Command::Dist(arguments) => dist::run(arguments),
        Command::Wasm => wasm::run(),
        Command::Ahead => ahead::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("× {error:#}");
            ExitCode::from(2)
        }
    }
}
