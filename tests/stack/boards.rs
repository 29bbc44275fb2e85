//! The boards, read with Grafana's own schema: Grafana itself cannot be had here.

use std::{fs, path::PathBuf, process::Command};

use learnflow_tests::process::Folder;

use crate::{shipped::root, valid::judge};

fn read(files: &[PathBuf]) -> (bool, String) {
    judge(
        Command::new("go")
            .args(["run", "."])
            .args(files)
            .current_dir(root().join("tests/schema"))
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off"),
    )
}

#[test]
fn the_boards_are_what_grafanas_schema_says() {
    let entries = fs::read_dir(root().join("dashboards/grafana")).expect("the boards");
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path().canonicalize().expect("a path"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    let (good, said) = read(&files);
    assert!(good, "{said}");
    let folder = Folder::new().expect("a folder");
    let broken = folder.path().join("broken.json");
    let overview = root().join("dashboards/grafana/learnflow-overview.json");
    let text = fs::read_to_string(overview).expect("a board");
    fs::write(&broken, text.replace("reduceOptions", "reduceOption")).expect("a file");
    let (good, said) = read(&[broken]);
    assert!(!good && said.contains("reduceOption"), "a wrong one is refused: {said}");
}
