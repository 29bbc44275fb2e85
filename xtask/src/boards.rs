//! `cargo xtask boards`: the JSON for Grafana, made of the boards' sources; and pictures of the boards.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use learnflow_boards::{Boards, made};
use learnflow_lab::progress;
use learnflow_tests::{
    Frontend, Prometheus, Target,
    pictures::{Answers, draw},
};

use crate::artifacts;

/// How long there is traffic before Prometheus is asked, and how much: some lessons, a pause, more of them.
const TRAFFIC: Duration = Duration::from_secs(420);
const PAUSE: Duration = Duration::from_secs(4);

#[derive(Debug, Args)]
pub struct Arguments {
    /// Draw docs/boards/*.png, from what Prometheus answered last
    #[arg(long)]
    pictures: bool,
    /// Make traffic in this cluster for some minutes and ask its Prometheus first; LearnFlow and its services must be there
    #[arg(long, value_name = "FILE", requires = "pictures")]
    kubeconfig: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let boards = Boards::read()?;
    if arguments.pictures {
        return pictures(&boards, arguments.kubeconfig.clone());
    }
    let folder = made();
    let files = boards.files()?;
    // A board that is gone takes its file with it.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    for (name, text) in &files {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("dashboards/grafana/{name}");
    }
    Ok(())
}

fn pictures(boards: &Boards, kubeconfig: Option<PathBuf>) -> Result<()> {
    let kept = artifacts::target_folder().join("boards.json");
    if let Some(kubeconfig) = kubeconfig {
        asked(boards, kubeconfig)?.write(&kept)?;
    }
    let answers = Answers::read(&kept).context("name a cluster to ask with --kubeconfig")?;
    let folder = artifacts::root().join("docs/boards");
    fs::create_dir_all(&folder)?;
    for board in &boards.boards {
        let name = board.uid.trim_start_matches("learnflow-");
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, draw(board, &answers)?).with_context(|| format!("cannot write {}", file.display()))?;
        println!("docs/boards/{name}.png");
    }
    Ok(())
}

fn asked(boards: &Boards, kubeconfig: PathBuf) -> Result<Answers> {
    let target = Target::named(kubeconfig, None, None, PathBuf::new());
    let frontend = Frontend::of(&target)?;
    progress::line(&format!("asking for lessons for {}", progress::duration(TRAFFIC)));
    let began = Instant::now();
    for n in 0.. {
        if began.elapsed() > TRAFFIC {
            break;
        }
        // More and fewer, so that lines have a form.
        frontend.request_lessons(4 + 4 * (n / 8 % 4))?;
        thread::sleep(PAUSE);
    }
    Answers::of(boards, &Prometheus::of(&target)?)
}
