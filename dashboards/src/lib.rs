//! The boards. Each is a file of `boards/`: what is asked, and what the answer means; the JSON for Grafana is made of it
//! (`cargo xtask boards`). The tests run the same queries on a real Prometheus.

mod grafana;
mod place;
mod source;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

pub use place::{COLUMNS, Place, What};
use source::Common;
pub use source::{Board, Kind, Name, Panel, Query, Threshold, Variable, chosen, everything};

/// All there is to make boards of.
#[derive(Debug)]
pub struct Boards {
    pub boards: Vec<Board>,
    /// By name, in the order of `variables.yaml`, which is that of their choice.
    pub variables: Vec<Variable>,
}

impl Boards {
    pub fn read() -> Result<Boards> {
        let files = yaml_files(&root().join("boards"))?;
        let common: Common = read(&root().join("variables.yaml"))?;
        let mut boards = files.iter().map(|file| read(file)).collect::<Result<Vec<Board>>>()?;
        for query in boards.iter_mut().flat_map(Board::queries_mut) {
            query.expr = common.in_full(&query.expr);
        }
        Ok(Boards {
            boards,
            variables: common.variables,
        })
    }

    /// The files that are made: name and text.
    pub fn files(&self) -> Result<BTreeMap<String, String>> {
        let files = self.boards.iter().map(|board| {
            let json = grafana::board(board, self)?;
            let text = serde_json::to_string_pretty(&json)? + "\n";
            Ok((format!("{}.json", board.uid), text))
        });
        files.collect()
    }

    pub fn variable(&self, name: &str) -> Result<&Variable> {
        let variable = self.variables.iter().find(|variable| variable.name == name);
        variable.with_context(|| format!("dashboards/variables.yaml has no variable {name}"))
    }
}

/// The folder `dashboards/`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the files that are made belong.
pub fn made() -> PathBuf {
    root().join("grafana")
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not as it must be", file.display()))
}
