//! How each kind of part is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    builder::files_below,
    image,
    parts::{Part, Recipe},
    paths, progress,
};

/// What the C library loads by name while it runs: `ldd` does not show them.
const NAME_SERVICE_LIBRARIES: &[&str] = &["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// The folder in the source tree whose files decide whether a part must be built again.
pub fn inputs_of(part: &Part) -> Option<PathBuf> {
    let folder = match part.recipe {
        Recipe::Go { module, .. } | Recipe::GoEdited { module, .. } | Recipe::GoFolder { module, .. } => module,
        Recipe::Kafka { .. } => "kafka",
        Recipe::Debian { .. } | Recipe::Image { .. } => return None,
    };
    Some(paths::sources().join("parts").join(folder))
}

/// Installs the tools that the missing parts are built with, or says what to install.
pub fn prepare(missing: &BTreeSet<&'static str>) -> Result<()> {
    let recipes: Vec<_> = missing.iter().map(|name| Part::named(name).recipe).collect();
    let go = recipes.iter().any(|recipe| {
        matches!(
            recipe,
            Recipe::Go { .. } | Recipe::GoEdited { .. } | Recipe::GoFolder { .. }
        )
    });
    if go && !on_path("go") {
        bail!(
            "the lab's parts are built with Go 1.26 or later, which is not here: install it from your system or go.dev, then run this again"
        );
    }
    if recipes.iter().any(|recipe| matches!(recipe, Recipe::Kafka { .. })) {
        let mut packages = Vec::new();
        if !on_path("mvn") {
            packages.push("maven");
        }
        if !on_path("jlink") {
            packages.push("openjdk-17-jdk-headless");
        }
        install(&packages)?;
    }
    Ok(())
}

/// Installs Debian packages, if there are any to install.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    progress::line(&format!("installing {} with apt-get", packages.join(", ")));
    let log = paths::cache()?.join("logs/apt.log");
    fs::create_dir_all(log.parent().context("logs")?)?;
    let install = || {
        let mut command = Command::new("apt-get");
        command
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command, &log)
    };
    if install().is_ok() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "--quiet"]), &log)
        .and_then(|()| install())
        .with_context(|| {
            format!(
                "cannot install {0}: install it yourself (apt-get install {0}), then run this again",
                packages.join(" ")
            )
        })
}

pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
        || Path::new("/usr/sbin").join(program).is_file()
}

/// Makes `part` in the empty folder `out`, writing what its tools say to `log`.
pub fn make(part: &Part, folders: &BTreeMap<&'static str, PathBuf>, out: &Path, log: &Path) -> Result<()> {
    let _ = fs::remove_file(log);
    match part.recipe {
        Recipe::Go {
            tags, set, packages, ..
        } => go(&inputs(part)?, tags, set, packages, out, log),
        Recipe::GoEdited { path, package, .. } => go_edited(&inputs(part)?, path, package, out, log),
        Recipe::GoFolder { path, folder, .. } => go_folder(&inputs(part)?, path, folder, out),
        Recipe::Debian { packages } => debian(packages, out, log),
        Recipe::Kafka { java_modules } => kafka(&inputs(part)?, java_modules, out, log),
        Recipe::Image {
            reference,
            entrypoint,
            files,
        } => {
            let mut sources = Vec::new();
            for file in files {
                sources.push((folders[file.part].join(file.from), file.to));
            }
            image::write(reference, entrypoint, &sources, &out.join("image.tar"))
        }
    }
}

fn inputs(part: &Part) -> Result<PathBuf> {
    inputs_of(part).context("this part has inputs")
}

/// A line of a source file, as it stands there and as it must be.
#[derive(serde::Deserialize)]
struct Edit {
    file: PathBuf,
    from: String,
    to: String,
}

/// Builds from a changed copy of a module's source: what it is replaced by stands in a go.mod of the build alone.
fn go_edited(module: &Path, path: &str, package: &str, out: &Path, log: &Path) -> Result<()> {
    let source = out.join("source");
    copy_folder(&downloaded(module, path)?, &source)?;
    let edits: Vec<Edit> = serde_json::from_str(&fs::read_to_string(module.join("edits.json"))?)?;
    for edit in edits {
        let file = source.join(&edit.file);
        let text = fs::read_to_string(&file)?;
        if !text.contains(&edit.from) {
            bail!("{} of {path} has no `{}` any more", edit.file.display(), edit.from);
        }
        fs::write(&file, text.replace(&edit.from, &edit.to))?;
    }
    let manifest = fs::read_to_string(module.join("go.mod"))?;
    let file = out.join("go.mod");
    fs::write(&file, format!("{manifest}\nreplace {path} => {}\n", source.display()))?;
    fs::copy(module.join("go.sum"), out.join("go.sum"))?;
    let mut command = go_command(module);
    command
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w"])
        .arg(format!("-modfile={}", file.display()))
        .arg("-o")
        .arg(format!("{}/", out.display()))
        .arg(package);
    run(&mut command, log)?;
    fs::remove_dir_all(&source)?;
    fs::remove_file(out.join("go.mod"))?;
    Ok(fs::remove_file(out.join("go.sum"))?)
}

fn go(module: &Path, tags: &str, set: &[(&str, &str)], packages: &[&str], out: &Path, log: &Path) -> Result<()> {
    let set: String = set.iter().map(|(name, value)| format!(" -X {name}={value}")).collect();
    let mut command = go_command(module);
    command
        .args(["build", "-mod=readonly", "-trimpath", "-tags", tags])
        .arg(format!("-ldflags=-s -w{set}"))
        .arg("-o")
        .arg(format!("{}/", out.display()))
        .args(packages);
    run(&mut command, log)
}

fn go_command(module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    command
}

fn go_folder(module: &Path, path: &str, folder: &str, out: &Path) -> Result<()> {
    copy_folder(&downloaded(module, path)?.join(folder), out)
}

/// The source of a module that a part's go.mod pins.
fn downloaded(module: &Path, path: &str) -> Result<PathBuf> {
    let output = go_command(module).args(["mod", "download", "-json", path]).output()?;
    if !output.status.success() {
        bail!("go mod download {path}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let downloaded: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = downloaded["Dir"].as_str().context("go mod download names no folder")?;
    Ok(PathBuf::from(folder))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for path in files_below(from)? {
        let target = to.join(path.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        // Read and written, not copied: files of the module cache are read-only.
        fs::write(&target, fs::read(&path)?)?;
    }
    Ok(())
}

fn debian(packages: &[&str], out: &Path, log: &Path) -> Result<()> {
    let downloads = out.join("downloads");
    fs::create_dir_all(&downloads)?;
    let download = || {
        let mut command = Command::new("apt-get");
        command.current_dir(&downloads).arg("download").args(packages);
        run(&mut command, log)
    };
    if download().is_err() {
        run(Command::new("apt-get").args(["update", "--quiet"]), log)
            .and_then(|()| download())
            .context("apt-get cannot download Debian packages: the lab needs a Debian (or Ubuntu) machine with its package lists")?;
    }
    for package in files_below(&downloads)? {
        run(Command::new("dpkg").arg("-x").arg(package).arg(out), log)?;
    }
    fs::remove_dir_all(&downloads)?;
    for unneeded in ["usr/share", "etc", "lib/systemd", "var"] {
        let _ = fs::remove_dir_all(out.join(unneeded));
    }
    Ok(())
}

fn kafka(pom: &Path, java_modules: &str, out: &Path, log: &Path) -> Result<()> {
    let lib = out.join("lib");
    let mut maven = Command::new("mvn");
    maven
        .current_dir(pom)
        .args(["--batch-mode", "--quiet", "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", lib.display()));
    run(&mut maven, log)?;
    let jre = out.join("jre");
    let mut jlink = Command::new("jlink");
    jlink
        .args(["--add-modules", java_modules, "--compress=2", "--strip-debug"])
        .args(["--no-header-files", "--no-man-pages", "--output"])
        .arg(&jre);
    run(&mut jlink, log)?;
    system_libraries(&jre, &out.join("root"), log)
}

/// Copies the shared libraries that a Java runtime needs from this system, to the same places below `root`.
fn system_libraries(jre: &Path, root: &Path, log: &Path) -> Result<()> {
    let mut libraries = BTreeSet::new();
    let programs = files_below(jre)?
        .into_iter()
        .filter(|path| path.ends_with("bin/java") || path.extension().is_some_and(|extension| extension == "so"));
    for program in programs {
        let output = Command::new("ldd").arg(&program).output().context("cannot run ldd")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        libraries.extend(
            text.split_whitespace()
                .filter(|word| word.starts_with("/lib") || word.starts_with("/usr/lib"))
                .map(PathBuf::from),
        );
    }
    let libc = libraries
        .iter()
        .find(|path| path.ends_with("libc.so.6"))
        .and_then(|path| path.parent())
        .context("ldd does not name libc.so.6")?
        .to_owned();
    libraries.extend(NAME_SERVICE_LIBRARIES.iter().map(|name| libc.join(name)));
    for library in libraries {
        let target = root.join(library.strip_prefix("/")?);
        fs::create_dir_all(target.parent().context("a library has a folder")?)?;
        fs::copy(&library, &target)
            .with_context(|| format!("cannot copy {} ({})", library.display(), log.display()))?;
    }
    // The image has no shell but busybox, and no `java` on the PATH but this.
    fs::create_dir_all(root.join("bin"))?;
    symlink("/opt/jre/bin/java", root.join("bin/java"))?;
    Ok(())
}

/// Runs a tool, its output to `log`; it ends with us. An error carries the last lines it said.
fn run(command: &mut Command, log: &Path) -> Result<()> {
    let output = fs::File::options().create(true).append(true).open(log)?;
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).map_err(std::io::Error::from)
        });
    }
    let status = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let tail: Vec<_> = text.lines().rev().take(8).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    if text.contains("no space left on device") || text.contains("No space left on device") {
        bail!("the disk is full: free some space, or point XDG_CACHE_HOME, GOCACHE and GOMODCACHE to a larger disk");
    }
    bail!(
        "{} failed ({status}):\n{}",
        command.get_program().to_string_lossy(),
        tail.join("\n")
    )
}
