//! Writes an image in docker-archive form, the form that `docker load` and `ctr images import` read.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::hex;

/// A numeric user, so that `runAsNonRoot` can be checked.
const USER: u64 = 65532;
const FOLDERS: &[&str] = &["bin", "dev", "etc", "proc", "sys", "tmp", "usr", "var"];

/// Writes the image `reference` with `(from, to)` files or folders to `out`.
pub fn write(reference: &str, entrypoint: &[&str], files: &[(PathBuf, &str)], out: &Path) -> Result<()> {
    let layer_path = out.with_extension("layer");
    let mut hashing = Hashing {
        file: File::create(&layer_path)?,
        hash: Sha256::new(),
    };
    layer(files, &mut hashing)?;
    let layer_hash = hex(&hashing.hash.finalize());
    let config = serde_json::to_vec(&json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": USER.to_string(), "Env": ["PATH=/bin:/opt/jre/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_hash}")]},
    }))?;
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let manifest = serde_json::to_vec(&json!([
        {"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}
    ]))?;

    let mut archive = tar::Builder::new(File::create(out)?);
    let mut layer = File::open(&layer_path)?;
    archive.append_file("layer.tar", &mut layer)?;
    for (name, bytes) in [(config_name.as_str(), &config), ("manifest.json", &manifest)] {
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.flush()?;
    fs::remove_file(&layer_path)?;
    Ok(())
}

fn layer(files: &[(PathBuf, &str)], out: &mut impl Write) -> Result<()> {
    let mut archive = tar::Builder::new(out);
    for folder in FOLDERS {
        let mode = if *folder == "tmp" { 0o1777 } else { 0o755 };
        archive.append_data(&mut header(tar::EntryType::Directory, mode), folder, io::empty())?;
    }
    for (from, to) in files {
        add(&mut archive, from, Path::new(to))
            .with_context(|| format!("cannot put {} into an image", from.display()))?;
    }
    archive.finish()?;
    Ok(())
}

fn add(archive: &mut tar::Builder<impl Write>, from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        if !to.as_os_str().is_empty() {
            archive.append_data(&mut header(tar::EntryType::Directory, 0o755), to, io::empty())?;
        }
        let mut names: Vec<_> = fs::read_dir(from)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            add(archive, &from.join(&name), &to.join(&name))?;
        }
    } else if meta.is_symlink() {
        let target = fs::read_link(from)?;
        archive.append_link(&mut header(tar::EntryType::Symlink, 0o777), to, target)?;
    } else {
        let mut file = File::open(from)?;
        let mut header = header(tar::EntryType::Regular, 0o755);
        header.set_size(file.seek(io::SeekFrom::End(0))?);
        file.rewind()?;
        archive.append_data(&mut header, to, file)?;
    }
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(USER);
    header.set_gid(USER);
    header.set_mtime(0); // the same files give the same image
    header.set_size(0);
    header
}

/// Writes and hashes at once: the layer's hash is needed before the archive is put together.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
