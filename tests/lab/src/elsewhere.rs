//! What the lab is where it cannot be: a sentence that says what to do instead.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{INSTEAD, Life, Scope, Timings};

/// No value of it exists.
#[derive(Debug, Clone)]
pub enum Lab {}

#[derive(Debug, Clone)]
pub enum Parts {}

fn refuse<T>() -> Result<T> {
    bail!("the lab runs on Linux only. {INSTEAD}")
}

pub fn build(_: Scope) -> Result<Parts> {
    refuse()
}

pub fn parts(_: &[&str]) -> Result<Parts> {
    refuse()
}

pub fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() { Ok(()) } else { refuse() }
}

/// Nothing is looked for: what is missing is named when it is started.
pub fn on_path(_: &str) -> bool {
    true
}

pub fn run_keeper(_: &str, _: bool) -> Result<()> {
    refuse()
}

pub fn run_node(_: &str) -> Result<()> {
    refuse()
}

impl Parts {
    pub fn file(&self, _: &str, _: &str) -> PathBuf {
        match *self {}
    }
}

impl Lab {
    pub fn up(_: &str, _: Scope, _: Life) -> Result<Lab> {
        refuse()
    }

    pub fn up_with(_: &str, _: Scope, _: Timings, _: Life) -> Result<Lab> {
        refuse()
    }

    pub fn find(_: &str) -> Result<Option<Lab>> {
        refuse()
    }

    pub fn down(_: &str) -> Result<bool> {
        refuse()
    }

    pub fn name(&self) -> &str {
        match *self {}
    }

    pub fn kubeconfig(&self) -> PathBuf {
        match *self {}
    }

    pub fn parts(&self) -> &Parts {
        match *self {}
    }

    pub fn kubectl(&self) -> Command {
        match *self {}
    }

    pub fn inside(&self, _: &str) -> Result<Command> {
        match *self {}
    }

    pub fn load_image(&self, _: &Path) -> Result<()> {
        match *self {}
    }
}
