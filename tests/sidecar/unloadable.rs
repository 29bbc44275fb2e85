//! A middleware that cannot be loaded takes nothing down, and is not silent.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{
    exposition::series,
    process::Folder,
    sidecar::{Middleware, PUBSUB, Rig, Sidecar, released},
};

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("unloadable::what_is_whole_is_loaded", what_is_whole_is_loaded),
    ("unloadable::lost_file", |rig| {
        refused(rig, |_, folder| Ok(folder.join("there-is-none.wasm")))
    }),
    ("unloadable::truncated_file", |rig| {
        refused(rig, |guest, folder| written(folder, &guest[..guest.len() / 2]))
    }),
    ("unloadable::damaged_file", |rig| {
        refused(rig, |guest, folder| {
            let mut damaged = guest.to_vec();
            // Behind the magic number and the version: the sections make no sense any more.
            damaged[8..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
            written(folder, &damaged)
        })
    }),
    ("unloadable::another_abi", |rig| {
        refused(rig, |_, folder| written(folder, OTHER_ABI))
    }),
];

/// A module that is valid, and exports nothing that Dapr's host asks for.
const OTHER_ABI: &[u8] = b"\0asm\x01\0\0\0";

fn written(folder: &std::path::Path, content: &[u8]) -> Result<PathBuf> {
    let file = folder.join("learnflow.wasm");
    fs::write(&file, content)?;
    Ok(file)
}

/// What the others are held against.
fn what_is_whole_is_loaded(rig: &Rig) -> Result<()> {
    for middleware in [
        Middleware::installed()?,
        Middleware::installed()?.without_ignore_errors(),
    ] {
        let sidecar = rig.sidecar(middleware).start()?;
        publishes(&sidecar)?;
        ensure!(sidecar.records()?.len() == 1, "{:?}", sidecar.records()?);
        ensure!(failures(&sidecar)? == 0.0, "{}", sidecar.log());
    }
    Ok(())
}

fn refused(rig: &Rig, file: impl Fn(&[u8], &std::path::Path) -> Result<PathBuf>) -> Result<()> {
    let folder = Folder::new()?;
    let guest = fs::read(released()?)?;
    let middleware = Middleware::of(file(&guest, folder.path())?);
    let sidecar = rig.sidecar(middleware.clone()).start()?;
    publishes(&sidecar)?;
    ensure!(sidecar.records()?.is_empty(), "it was loaded after all");
    ensure!(failures(&sidecar)? > 0.0, "nobody is told:\n{}", sidecar.metrics()?);
    let named = sidecar
        .log()
        .lines()
        .any(|line| line.contains("level=error") && line.contains("learnflow"));
    ensure!(named, "the log does not name it:\n{}", sidecar.log());

    // That it is `ignoreErrors` which keeps the service up.
    let sidecar = rig.sidecar(middleware.without_ignore_errors()).launch()?;
    let status = sidecar.wait_for_end()?;
    ensure!(!status.success(), "ended with {status}");
    Ok(())
}

fn publishes(sidecar: &Sidecar) -> Result<()> {
    let path = format!("/v1.0/publish/{PUBSUB}/unloadable");
    let answer = sidecar.client()?.send("POST", &path, &[], b"{}", false)?;
    ensure!(answer.status() == 204, "{answer:?}");
    Ok(())
}

/// How often a sidecar says that the middleware failed.
fn failures(sidecar: &Sidecar) -> Result<f64> {
    let page = sidecar.metrics()?;
    let failed = series(&page, "dapr_runtime_component_init_fail_total").context("metrics of daprd")?;
    let ours = failed
        .iter()
        .filter(|(labels, _)| labels.get("componentName").is_some_and(|name| name == "learnflow"));
    Ok(ours.map(|(_, count)| count).sum())
}
