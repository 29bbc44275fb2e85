//! Makes the parts that are missing, two at a time, and keeps them in the cache.
//!
//! A part lives in `CACHE/parts/NAME-KEY/`, where KEY is a hash of what it is built from. Its `.contents.json` is written
//! last and lists every file with its SHA-256: a part without it was interrupted, one that differs from it is damaged. Both
//! are built again; the Go build cache makes the second attempt short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    hex,
    parts::{PARTS, Part, Recipe},
    paths::{self, Scope},
    progress, recipes,
};

/// Raise it when the way a part is made changes without its inputs changing.
const RECIPES_VERSION: u32 = 1;
const CONTENTS: &str = ".contents.json";
/// Two long builds side by side keep two cores busy while one of them links.
const WORKERS: usize = 2;
const NEEDED_DISK_GIB: u64 = 14;

/// The parts of a scope, all present and whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    folders: BTreeMap<String, PathBuf>,
}

impl Parts {
    pub fn file(&self, part: &str, path: &str) -> PathBuf {
        self.folders
            .get(part)
            .unwrap_or_else(|| panic!("part {part} is not in this scope"))
            .join(path)
    }

    /// The folders with programs, for a PATH.
    pub fn bin_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<_> = self
            .folders
            .iter()
            .filter(|(name, _)| matches!(Part::find(name).map(|part| part.recipe), Some(Recipe::Go { .. })))
            .map(|(_, folder)| folder.clone())
            .collect();
        let debian = self.file("debian", "");
        folders.extend(["usr/bin", "usr/sbin"].map(|bin| debian.join(bin)));
        folders
    }

    /// `(reference, tar)` of every image.
    pub fn images(&self) -> Vec<(&'static str, PathBuf)> {
        self.folders
            .iter()
            .filter_map(|(name, folder)| match Part::find(name)?.recipe {
                Recipe::Image { reference, .. } => Some((reference, folder.join("image.tar"))),
                _ => None,
            })
            .collect()
    }
}

/// What a build has done so far; shared by the workers and the progress line.
#[derive(Default)]
struct State {
    done: BTreeSet<&'static str>,
    running: BTreeMap<&'static str, Instant>,
    failed: Option<anyhow::Error>,
}

/// Makes sure that every part of `scope` is there, building what is missing.
pub fn ensure(scope: Scope) -> Result<Parts> {
    ensure_all(PARTS.iter().filter(|part| part.base || scope == Scope::Full).collect())
}

/// The same for a few parts, of which none needs another.
pub fn ensure_named(names: &[&str]) -> Result<Parts> {
    ensure_all(names.iter().map(|name| Part::named(name)).collect())
}

fn ensure_all(wanted: Vec<&'static Part>) -> Result<Parts> {
    let folders: BTreeMap<_, _> = wanted
        .iter()
        .map(|part| Ok((part.name, folder_of(part)?)))
        .collect::<Result<_>>()?;
    let missing = missing_parts(&wanted, &folders);
    if !missing.is_empty() {
        build(&wanted, &missing, &folders)?;
    }
    let folders = folders
        .into_iter()
        .map(|(name, folder)| (name.to_owned(), folder))
        .collect();
    Ok(Parts { folders })
}

fn missing_parts(wanted: &[&'static Part], folders: &BTreeMap<&'static str, PathBuf>) -> BTreeSet<&'static str> {
    let bad = Mutex::new(BTreeSet::new());
    let queue = Mutex::new(wanted.iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(part) = { queue.lock().expect("queue").next() } {
                    match check(&folders[part.name]) {
                        Ok(true) => continue,
                        Ok(false) => {}
                        Err(error) => progress::line(&format!(
                            "‼ {} in the cache is damaged and will be built again: {error:#}",
                            part.name
                        )),
                    }
                    bad.lock().expect("bad").insert(part.name);
                }
            });
        }
    });
    bad.into_inner().expect("bad")
}

fn build(
    wanted: &[&'static Part],
    missing: &BTreeSet<&'static str>,
    folders: &BTreeMap<&'static str, PathBuf>,
) -> Result<()> {
    check_disk(missing.len())?;
    recipes::prepare(missing)?;
    let started = Instant::now();
    let state = Mutex::new(State::default());
    for part in wanted {
        if !missing.contains(part.name) {
            state.lock().expect("state").done.insert(part.name);
        }
    }
    let changed = Condvar::new();
    let total = wanted.len();
    progress::line(&format!(
        "building {} parts of the lab from source: {}",
        missing.len(),
        missing.iter().copied().collect::<Vec<_>>().join(", ")
    ));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(part) = next(&state, &changed, wanted) {
                    let begun = Instant::now();
                    let result = make(part, folders);
                    let mut state = state.lock().expect("state");
                    state.running.remove(part.name);
                    match result {
                        Ok(()) => {
                            state.done.insert(part.name);
                            progress::line(&format!(
                                "√ {:<26} {:<34} {:>7}   ({} of {total})",
                                part.name,
                                part.version,
                                progress::duration(begun.elapsed()),
                                state.done.len(),
                            ));
                        }
                        Err(error) => {
                            state.failed.get_or_insert(error);
                        }
                    }
                    changed.notify_all();
                }
            });
        }
        heartbeat(&state, &changed, total, started);
    });
    let state = state.into_inner().expect("state");
    match state.failed {
        Some(error) => Err(error),
        None => {
            progress::line(&format!(
                "√ all parts built in {}",
                progress::duration(started.elapsed())
            ));
            Ok(())
        }
    }
}

/// The next part whose needs are met; waits while others may still meet them.
fn next(state: &Mutex<State>, changed: &Condvar, wanted: &[&'static Part]) -> Option<&'static Part> {
    let mut state = state.lock().expect("state");
    loop {
        if state.failed.is_some() {
            return None;
        }
        let mut open = wanted
            .iter()
            .filter(|part| !state.done.contains(part.name))
            .filter(|part| !state.running.contains_key(part.name))
            .peekable();
        open.peek()?;
        if let Some(part) = open.find(|part| part.needs().iter().all(|need| state.done.contains(need))) {
            state.running.insert(part.name, Instant::now());
            return Some(part);
        }
        state = changed.wait(state).expect("state");
    }
}

/// Says now and then what is being built, until all is done.
fn heartbeat(state: &Mutex<State>, changed: &Condvar, total: usize, started: Instant) {
    let mut said = Instant::now();
    let mut guard = state.lock().expect("state");
    while guard.done.len() < total && (guard.failed.is_none() || !guard.running.is_empty()) {
        guard = changed.wait_timeout(guard, Duration::from_secs(1)).expect("state").0;
        if said.elapsed() >= progress::interval() && !guard.running.is_empty() {
            said = Instant::now();
            let running: Vec<_> = guard
                .running
                .iter()
                .map(|(name, since)| format!("{name} ({})", progress::duration(since.elapsed())))
                .collect();
            progress::waiting(&format!(
                "… {}  building {}; {} of {total} there",
                progress::duration(started.elapsed()),
                running.join(", "),
                guard.done.len()
            ));
        }
    }
}

/// Makes one part in a folder beside its place and moves it there when it is whole.
fn make(part: &'static Part, folders: &BTreeMap<&'static str, PathBuf>) -> Result<()> {
    let folder = &folders[part.name];
    let parent = folder.parent().context("a part has a parent folder")?;
    fs::create_dir_all(parent)?;
    let lock = fs::File::create(parent.join(format!(".lock-{}", part.name)))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .context("cannot lock the cache")?;
    if matches!(check(folder), Ok(true)) {
        return Ok(()); // another process was faster
    }
    let work = parent.join(format!(".making-{}", part.name));
    remove(&work)?;
    remove(folder)?;
    fs::create_dir_all(&work)?;
    let log = paths::cache()?.join("logs").join(format!("{}.log", part.name));
    fs::create_dir_all(log.parent().context("logs")?)?;
    recipes::make(part, folders, &work, &log).with_context(|| {
        format!(
            "cannot build {} {} (whole log: {})",
            part.name,
            part.version,
            log.display()
        )
    })?;
    let contents = serde_json::to_vec(&hash_files(&work)?)?;
    fs::write(work.join(CONTENTS), contents)?;
    fs::rename(&work, folder)?;
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a part is there; an error says in what it differs from what was built.
fn check(folder: &Path) -> Result<bool> {
    let Ok(contents) = fs::read(folder.join(CONTENTS)) else {
        return Ok(false);
    };
    let expected: BTreeMap<String, String> =
        serde_json::from_slice(&contents).context("its list of contents cannot be read")?;
    let found = hash_files(folder)?;
    for (path, hash) in &expected {
        match found.get(path) {
            None => bail!("{path} is missing"),
            Some(other) if other != hash => bail!("{path} has changed"),
            Some(_) => {}
        }
    }
    Ok(true)
}

fn hash_files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        if name != CONTENTS {
            hashes.insert(name, hash_file(&path)?);
        }
    }
    Ok(hashes)
}

/// Regular files below a folder, sorted; links are followed by whoever needs them.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn folder_of(part: &Part) -> Result<PathBuf> {
    Ok(paths::cache()?
        .join("parts")
        .join(format!("{}-{}", part.name, key_of(part)?)))
}

/// A hash of all that a part is built from: its recipe, its pinned inputs, and the parts it needs.
fn key_of(part: &Part) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(format!("{RECIPES_VERSION} {} {:?}", part.version, part.recipe));
    if let Some(inputs) = recipes::inputs_of(part) {
        for path in files_below(&inputs)? {
            hasher.update(path.strip_prefix(&inputs)?.as_os_str().as_encoded_bytes());
            hasher.update(fs::read(&path)?);
        }
    }
    for need in part.needs() {
        hasher.update(key_of(Part::named(need))?);
    }
    Ok(hex(&hasher.finalize()[..6]))
}

fn check_disk(missing: usize) -> Result<()> {
    let cache = paths::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make the cache folder {}", cache.display()))?;
    let stat = nix::sys::statvfs::statvfs(&cache)?;
    let free_gib = (stat.blocks_available() * stat.fragment_size()) >> 30;
    // The whole lab takes what is named here, most of it the Go build cache; a part of it takes its share.
    let needed = NEEDED_DISK_GIB * missing as u64 / PARTS.len() as u64;
    if free_gib < needed {
        bail!(
            "building {missing} parts of the lab takes about {needed} GiB, but {} has only {free_gib} GiB free: \
             free some, or point XDG_CACHE_HOME (and GOCACHE, GOMODCACHE) to a larger disk",
            cache.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_or_unfinished_part_is_noticed() {
        let folder = std::env::temp_dir().join(format!("learnflow-builder-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("bin/program"), "whole").unwrap();
        assert!(!check(&folder).unwrap(), "unfinished: no list of contents");
        let contents = serde_json::to_vec(&hash_files(&folder).unwrap()).unwrap();
        fs::write(folder.join(CONTENTS), contents).unwrap();
        assert!(check(&folder).unwrap());
        fs::write(folder.join("bin/program"), "wh0le").unwrap();
        assert!(
            check(&folder)
                .unwrap_err()
                .to_string()
                .contains("bin/program has changed")
        );
        fs::remove_file(folder.join("bin/program")).unwrap();
        assert!(check(&folder).unwrap_err().to_string().contains("is missing"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_changes_with_what_a_part_needs() {
        let daprd = key_of(Part::named("image-daprd")).unwrap();
        let operator = key_of(Part::named("image-dapr-operator")).unwrap();
        assert_ne!(daprd, operator);
        assert_eq!(daprd, key_of(Part::named("image-daprd")).unwrap());
    }
}
