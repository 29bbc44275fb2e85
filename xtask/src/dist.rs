//! `cargo xtask dist`: everything a release is made of. The program is built for the platform this runs on; those of
//! other platforms, which `.github/workflows/release.yml` builds where they can be built, are packed with `--also`.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    artifacts::{self, root, step, target_folder},
    sbom,
};

const PROGRAM: &str = "kubectl-learnflow";
/// By this name kubectl asks for completions.
const COMPLETER: &str = "kubectl_complete-learnflow";
const SHELLS: [(&str, &str); 5] = [
    ("bash", "kubectl-learnflow.bash"),
    ("zsh", "_kubectl-learnflow"),
    ("fish", "kubectl-learnflow.fish"),
    ("powershell", "kubectl-learnflow.ps1"),
    ("elvish", "kubectl-learnflow.elv"),
];
/// As Go, and so krew, calls them; as Rust does.
const PLATFORMS: [(&str, &str); 6] = [
    ("linux_amd64", "x86_64-unknown-linux-gnu"),
    ("linux_arm64", "aarch64-unknown-linux-gnu"),
    ("darwin_amd64", "x86_64-apple-darwin"),
    ("darwin_arm64", "aarch64-apple-darwin"),
    ("windows_amd64", "x86_64-pc-windows-msvc"),
    ("windows_arm64", "aarch64-pc-windows-msvc"),
];

#[derive(Debug, Args)]
pub struct Arguments {
    /// A program that was built for another platform, as darwin_arm64=FILE; may be given several times
    #[arg(long, value_name = "PLATFORM=FILE", value_parser = parse_also)]
    also: Vec<(&'static str, PathBuf)>,
    /// Where the files can be downloaded, for the krew manifest [default: this machine's own files]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Page of the project, for the krew manifest
    #[arg(long, value_name = "URL")]
    homepage: Option<String>,
}

/// An archive, for the krew manifest.
struct Packed {
    platform: &'static str,
    file: String,
    sha256: String,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let host = PLATFORMS
        .iter()
        .find(|(platform, _)| *platform == here())
        .context("a platform we know")?
        .0;
    let program = artifacts::plugin()?;
    let folder = target_folder().join("dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let texts = folder.join("texts");
    texts_of(&program, &texts)?;
    let mut packed = Vec::new();
    for (platform, program) in std::iter::once((host, program)).chain(arguments.also) {
        let name = format!("{PROGRAM}_{}_{platform}", version());
        let file = format!("{name}.tar.gz");
        pack(&program, &texts, platform, &folder.join(&file))?;
        let triple = PLATFORMS
            .iter()
            .find(|(other, _)| *other == platform)
            .context("a platform")?
            .1;
        let sbom = step("listing what is inside", || sbom::of(PROGRAM, triple))?;
        fs::write(folder.join(format!("{name}.cdx.json")), format!("{sbom:#}\n"))?;
        let sha256 = sha256(&folder.join(&file))?;
        packed.push(Packed { platform, file, sha256 });
    }
    fs::remove_dir_all(&texts)?;
    let url = arguments.url.unwrap_or_else(|| format!("file://{}", folder.display()));
    let manifest = krew(&packed, url.trim_end_matches('/'), arguments.homepage.as_deref())?;
    fs::write(folder.join("learnflow.yaml"), manifest)?;
    checksums(&folder)?;
    for name in names(&folder)? {
        println!(
            "{:>10}  {}",
            artifacts::size(&folder.join(&name))?,
            folder.join(&name).display()
        );
    }
    Ok(())
}

fn parse_also(text: &str) -> Result<(&'static str, PathBuf), String> {
    let (platform, file) = text
        .split_once('=')
        .ok_or("write PLATFORM=FILE, for example darwin_arm64=FILE")?;
    let known = PLATFORMS.iter().find(|(known, _)| *known == platform);
    let names: Vec<&str> = PLATFORMS.iter().map(|(name, _)| *name).collect();
    let (platform, _) = known.ok_or_else(|| format!("{platform} is none of {}", names.join(", ")))?;
    match Path::new(file).is_file() {
        true => Ok((platform, file.into())),
        false => Err(format!("there is no file {file}")),
    }
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn here() -> String {
    let os = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        std::env::consts::OS
    };
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    format!("{os}_{arch}")
}

/// Completions and man pages: the same for every platform.
fn texts_of(program: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("completions"))?;
    fs::copy(root().join("LICENSE"), folder.join("LICENSE"))?;
    for (shell, file) in SHELLS {
        fs::write(
            folder.join("completions").join(file),
            output(program, &["completion", shell])?,
        )?;
    }
    output(program, &["man-pages", &folder.join("man").to_string_lossy()]).map(|_| ())
}

fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        bail!(
            "{} {}: {}",
            program.display(),
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

/// The same files give the same archive: names in order, no time, no owner.
fn pack(program: &Path, texts: &Path, platform: &str, archive: &Path) -> Result<()> {
    let windows = platform.starts_with("windows");
    let mut files = vec![(executable(platform), program.to_owned(), 0o755)];
    files.push(("LICENSE".to_owned(), texts.join("LICENSE"), 0o644));
    for folder in ["completions", "man"] {
        let inside = names(&texts.join(folder))?.into_iter();
        files.extend(inside.map(|name| (format!("{folder}/{name}"), texts.join(folder).join(&name), 0o644)));
    }
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(archive)?, Compression::best()));
    for (name, file, mode) in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, &name, bytes.as_slice())?;
    }
    // The same program by the name that kubectl asks for completions. Windows has no such links.
    if !windows {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        link.set_mode(0o777);
        tar.append_link(&mut link, COMPLETER, PROGRAM)?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

fn executable(platform: &str) -> String {
    let suffix = if platform.starts_with("windows") { ".exe" } else { "" };
    format!("{PROGRAM}{suffix}")
}

fn krew(packed: &[Packed], url: &str, homepage: Option<&str>) -> Result<String> {
    let platform = |packed: &Packed| {
        let (os, arch) = packed.platform.split_once('_').unwrap_or_default();
        let program = executable(packed.platform);
        json!({
            "selector": { "matchLabels": { "os": os, "arch": arch } },
            "uri": format!("{url}/{}", packed.file),
            "sha256": packed.sha256,
            "bin": program,
            "files": [{ "from": program, "to": "." }, { "from": "LICENSE", "to": "." }],
        })
    };
    let mut manifest = json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": { "name": "learnflow" },
        "spec": {
            "version": format!("v{}", version()),
            "shortDescription": "Show every event that Dapr services send",
            "description": "Installs, shows and removes LearnFlow's observability for Dapr and Kafka: a small WebAssembly \
                middleware for the sidecars, a Collector and a Prometheus, with metrics and traces by topic.",
            "platforms": packed.iter().map(platform).collect::<Vec<Value>>(),
        },
    });
    if let Some(homepage) = homepage {
        manifest["spec"]["homepage"] = homepage.into();
    }
    Ok(serde_saphyr::to_string(&manifest)?)
}

/// In the form that `sha256sum --check` reads.
fn checksums(folder: &Path) -> Result<()> {
    let mut file = File::create(folder.join("SHA256SUMS"))?;
    for name in names(folder)?.iter().filter(|name| *name != "SHA256SUMS") {
        writeln!(file, "{}  {name}", sha256(&folder.join(name))?)?;
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_krew_manifest_names_every_platform_with_its_checksum() {
        let packed = |platform: &'static str| Packed {
            platform,
            file: format!("{PROGRAM}_{platform}.tar.gz"),
            sha256: "ab".repeat(32),
        };
        let packed = [packed("linux_amd64"), packed("windows_arm64")];
        let text = krew(&packed, "https://example.com/v1", Some("https://example.com")).expect("a manifest");
        let manifest: Value = serde_saphyr::from_str(&text).expect("YAML");
        let platforms = manifest["spec"]["platforms"].as_array().expect("platforms");
        assert_eq!(platforms.len(), 2);
        assert_eq!(platforms[1]["bin"], "kubectl-learnflow.exe");
        assert_eq!(platforms[0]["selector"]["matchLabels"]["arch"], "amd64");
        assert_eq!(
            platforms[0]["uri"],
            "https://example.com/v1/kubectl-learnflow_linux_amd64.tar.gz"
        );
        let short = manifest["spec"]["shortDescription"].as_str().expect("a description");
        assert!(short.len() <= 50, "krew's index wants it short");
    }

    #[test]
    fn only_platforms_we_know_are_packed() {
        assert!(parse_also("plan9_amd64=/bin/sh").is_err());
        assert!(parse_also("darwin_arm64").is_err());
        assert!(parse_also("darwin_arm64=/nowhere").is_err());
        assert_eq!(
            parse_also("darwin_arm64=/bin/sh"),
            Ok(("darwin_arm64", "/bin/sh".into()))
        );
    }
}
