//! `bundle`: what somebody needs to help, in one archive, without secrets.

use super::{check, chosen, status, version};
use crate::{
    cli::Bundle,
    cluster::{Cluster, LogOf, MOST},
    model::Outcome,
    objects::{AGENT_NAMESPACE, OUR_NAMESPACES, Object, ObjectRef, STACK_NAMESPACE},
    printer::{Mark, Printer, Tone},
    problem::{Kind, Problem},
    redact,
    text::{count, format_bytes},
};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Of one container's log.
const LOG: u64 = 2 << 20;
const OURS: &str = "app.kubernetes.io/part-of=learnflow";
const SIDECARS: &str = "dapr.io/sidecar-injected=true";

const README: &str = "\
What `kubectl learnflow bundle` has collected:

  versions.json, status.json, check.json   what the commands of these names say
  objects/NAMESPACE/KIND.NAME.yaml         our objects, the services with a sidecar, Dapr's settings
  events/NAMESPACE.yaml                    what Kubernetes says has happened
  logs/NAMESPACE/POD/CONTAINER.log         of our pods, and of the sidecars; not of your own containers
  missing.txt                              what could not be had, and what is not all there

None of your Secrets is read. In everything else, values that look secret are replaced by [removed]:
passwords, tokens, keys, connection strings, Authorization headers, JSON Web Tokens, private keys. The
kubeconfig is not part of it. Look into it before you give it away all the same.
";

pub(super) async fn run(cluster: &Cluster, args: &Bundle, printer: &Printer) -> Result<Outcome, Problem> {
    let name = format!("learnflow-bundle-{}", now());
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    if file.exists() {
        return Err(
            Problem::new(format!("{} exists already.", file.display())).next("Name another file with --output.")
        );
    }
    // Before all the work, and first alone: if this one fails, all would.
    writable(&file)?;
    let versions = version::of(cluster).await?;

    let mut archive = Archive::new(&name, args.max_size);
    archive.add("README.txt", README);
    archive.json("versions.json", &versions);
    printer.waiting("status and check");
    let report = status::report(cluster).await;
    archive.result("status.json", report);
    let report = check::report(cluster, false, printer).await;
    archive.result("check.json", report);

    printer.waiting("objects");
    objects(cluster, &mut archive).await?;
    printer.waiting("events");
    for namespace in [cluster.namespace.as_str()].into_iter().chain(OUR_NAMESPACES) {
        let found = cluster.raw_list(&any("v1", "Event", namespace), "").await;
        archive.list(&format!("events/{namespace}.yaml"), "Event", namespace, found);
    }
    logs(cluster, args, &mut archive, printer).await;
    printer.done_waiting();

    let missing = std::mem::take(&mut archive.missing);
    archive.spare();
    archive.add("missing.txt", &(missing.join("\n") + "\n"));
    let (bytes, files) = archive.close().map_err(|e| unwritable(&file, &e))?;
    save(&file, &bytes).map_err(|e| unwritable(&file, &e))?;
    for what in &missing {
        printer.step(Mark::Warn, what);
    }
    let size = format_bytes(bytes.len() as u64);
    printer.step(
        Mark::Good,
        &format!("{}, {size}; secrets were removed", count(files, "file")),
    );
    printer.data_line(Tone::Plain, &file.display().to_string());
    Ok(if missing.is_empty() {
        Outcome::Good
    } else {
        Outcome::Bad
    })
}

/// Ours by name; the rest of what matters by kind.
async fn objects(cluster: &Cluster, archive: &mut Archive) -> Result<(), Problem> {
    let plan = chosen::installed_plan(cluster, &BTreeSet::new()).await?;
    // What is in a Secret is for nobody else.
    let open = plan.outside().filter(|object| object.kind() != "Secret");
    for object in open.map(Object::reference) {
        match cluster.raw(&object).await {
            Ok(Some(found)) => archive.object(&object.kind.clone(), object.namespace.as_deref(), found),
            // Not there: `status.json` says so.
            Ok(None) => {}
            Err(problem) => archive.miss(&problem),
        }
    }
    let here = cluster.namespace.as_str();
    let lists = [
        ("apps/v1", "Deployment", here, ""),
        ("v1", "Pod", here, SIDECARS),
        ("v1", "Pod", STACK_NAMESPACE, OURS),
        ("v1", "Pod", AGENT_NAMESPACE, OURS),
        ("dapr.io/v1alpha1", "Component", here, ""),
        ("dapr.io/v1alpha1", "Configuration", here, ""),
        ("dapr.io/v1alpha1", "Resiliency", here, ""),
        ("dapr.io/v1alpha1", "Subscription", here, ""),
        ("v1", "ConfigMap", here, OURS),
        ("v1", "ResourceQuota", here, ""),
        ("v1", "ResourceQuota", STACK_NAMESPACE, ""),
        ("v1", "ResourceQuota", AGENT_NAMESPACE, ""),
        ("v1", "LimitRange", here, ""),
        ("v1", "LimitRange", STACK_NAMESPACE, ""),
        ("v1", "LimitRange", AGENT_NAMESPACE, ""),
    ];
    for (version, kind, namespace, labels) in lists {
        let found = cluster.raw_list(&any(version, kind, namespace), labels).await;
        let Some(found) = archive.found(kind, namespace, found) else {
            continue;
        };
        // A Deployment without a sidecar is none of our business.
        let with_sidecar = |object: &Value| {
            let annotations = &object["spec"]["template"]["metadata"]["annotations"];
            kind != "Deployment" || annotations.get("dapr.io/enabled").is_some()
        };
        for object in found.into_iter().filter(with_sidecar) {
            archive.object(kind, Some(namespace), object);
        }
    }
    Ok(())
}

async fn logs(cluster: &Cluster, args: &Bundle, archive: &mut Archive, printer: &Printer) {
    let mut wanted = Vec::new();
    for (namespace, labels, only) in [
        (STACK_NAMESPACE, OURS, None),
        (AGENT_NAMESPACE, OURS, None),
        (cluster.namespace.as_str(), SIDECARS, Some("daprd")),
    ] {
        match cluster.logs_of(namespace, labels, only).await {
            Ok(logs) => wanted.extend(logs),
            Err(problem) => archive.miss(&problem),
        }
    }
    for (n, of) in wanted.iter().enumerate() {
        let LogOf {
            namespace,
            pod,
            container,
            previous,
        } = of;
        printer.waiting(&format!("logs {}/{}: {pod} {container}", n + 1, wanted.len()));
        let room = archive.room();
        if room == 0 {
            let rest = count(wanted.len() - n, "log");
            archive
                .missing
                .push(format!("{rest} left out: the archive is full (--max-size)"));
            return;
        }
        match cluster.log(of, args.since, LOG.min(room)).await {
            Ok(log) => {
                let run = if *previous { ".previous" } else { "" };
                archive.add(
                    &format!("logs/{namespace}/{pod}/{container}{run}.log"),
                    &redact::text(&log),
                );
            }
            // The run before may be long forgotten.
            Err(_) if *previous => {}
            Err(problem) => archive.miss(&problem),
        }
    }
}

fn any(api_version: &str, kind: &str, namespace: &str) -> ObjectRef {
    ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: Some(namespace.into()),
        name: String::new(),
    }
}

/// A compressed archive in memory, never larger than it may be.
struct Archive {
    tar: tar::Builder<GzEncoder<Vec<u8>>>,
    folder: String,
    time: u64,
    room: u64,
    files: usize,
    missing: Vec<String>,
    names: BTreeSet<String>,
    failed: Option<io::Error>,
}

impl Archive {
    fn new(folder: &str, max_size: u64) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tar: tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default())),
            folder: folder.into(),
            time: time.as_secs(),
            room: max_size,
            files: 0,
            missing: Vec::new(),
            names: BTreeSet::new(),
            failed: None,
        }
    }

    fn room(&self) -> u64 {
        self.room
    }

    /// What is added last must always have room.
    fn spare(&mut self) {
        self.room = self.room.max(1 << 20);
    }

    fn add(&mut self, name: &str, text: &str) {
        let name: Vec<String> = name.split('/').map(file_name).collect();
        let name = name.join("/");
        if text.len() as u64 > self.room {
            self.missing
                .push(format!("{name} left out: the archive is full (--max-size)"));
            return;
        }
        // The same object may be found by name and by kind.
        if self.failed.is_some() || !self.names.insert(name.clone()) {
            return;
        }
        self.room -= text.len() as u64;
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        let path = format!("{}/{name}", self.folder);
        match self.tar.append_data(&mut header, path, text.as_bytes()) {
            Ok(()) => self.files += 1,
            Err(e) => self.failed = Some(e),
        }
    }

    fn json(&mut self, name: &str, value: &impl Serialize) {
        let mut value = serde_json::to_value(value).unwrap_or_default();
        redact::object(&mut value);
        self.add(name, &format!("{value:#}\n"));
    }

    fn result(&mut self, name: &str, value: Result<impl Serialize, Problem>) {
        match value {
            Ok(value) => self.json(name, &value),
            Err(problem) => self.miss(&problem),
        }
    }

    fn object(&mut self, kind: &str, namespace: Option<&str>, mut object: Value) {
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or("unnamed")
            .replace('/', "_");
        let place = namespace.unwrap_or("_cluster");
        redact::object(&mut object);
        self.yaml(&format!("objects/{place}/{kind}.{name}.yaml"), &object);
    }

    fn list(&mut self, name: &str, kind: &str, namespace: &str, found: Result<(Vec<Value>, bool), Problem>) {
        if let Some(mut items) = self.found(kind, namespace, found) {
            items.iter_mut().for_each(redact::object);
            self.yaml(name, &json!({ "apiVersion": "v1", "kind": "List", "items": items }));
        }
    }

    fn found(&mut self, kind: &str, namespace: &str, found: Result<(Vec<Value>, bool), Problem>) -> Option<Vec<Value>> {
        match found {
            Ok((items, more)) => {
                if more {
                    self.missing
                        .push(format!("{kind}s in {namespace}: only the first {MOST}"));
                }
                Some(items)
            }
            Err(problem) => {
                self.miss(&problem);
                None
            }
        }
    }

    fn yaml(&mut self, name: &str, value: &Value) {
        match serde_saphyr::to_string(value) {
            Ok(text) => self.add(name, &text),
            Err(e) => self.missing.push(format!("{name}: {e}")),
        }
    }

    fn miss(&mut self, problem: &Problem) {
        self.missing.push(redact::text(&problem.what).into_owned());
    }

    fn close(mut self) -> io::Result<(Vec<u8>, usize)> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok((self.tar.into_inner()?.finish()?, self.files)),
        }
    }
}

/// A name as a file may have it anywhere, and that leads nowhere.
fn file_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).collect();
    name.replace("..", "__")
}

/// `20260102-150405`, in UTC.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}

/// Whether a file can be made there; it is not made yet.
fn writable(file: &Path) -> Result<(), Problem> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match fs::metadata(folder) {
        Ok(folder) if folder.is_dir() => Ok(()),
        Ok(_) => Err(unwritable(file, &io::Error::from(io::ErrorKind::NotADirectory))),
        Err(e) => Err(unwritable(file, &e)),
    }
}

/// All of it or nothing, and for nobody else to read.
fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(file)?;
    let result = written.write_all(bytes).and_then(|()| written.sync_all());
    if result.is_err() {
        drop(fs::remove_file(file));
    }
    result
}

fn unwritable(file: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("Cannot write {}: {error}.", file.display()))
        .next("Name another file with --output.")
        .kind(Kind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpack(bytes: &[u8]) -> Vec<(String, String)> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        let entries = tar.entries().expect("an archive");
        entries
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let name = entry.path().expect("a name").to_string_lossy().into_owned();
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("text");
                (name, text)
            })
            .collect()
    }

    #[test]
    fn what_is_archived_has_no_secret_and_no_name_leads_out() {
        let mut archive = Archive::new("b", 10_000);
        let pod = json!({ "kind": "Pod", "metadata": { "name": "../../x" }, "spec": {
            "containers": [{ "env": [{ "name": "PASSWORD", "value": "hunter2" }] }] } });
        archive.object("Pod", Some("shop"), pod.clone());
        archive.object("Pod", Some("shop"), pod);
        let (bytes, files) = archive.close().expect("closed");
        assert_eq!(files, 1, "the same thing once");
        let files = unpack(&bytes);
        assert!(
            !files[0].1.contains("hunter2") && files[0].1.contains("[removed]"),
            "{files:?}"
        );
        assert!(
            files[0].0.starts_with("b/objects/shop/Pod") && !files[0].0.contains(".."),
            "{files:?}"
        );
    }

    #[test]
    fn what_has_no_room_is_named() {
        let mut archive = Archive::new("b", 10);
        archive.add("logs/a.log", "0123456789abc");
        archive.add("logs/b.log", "0123");
        assert_eq!(
            archive.missing,
            ["logs/a.log left out: the archive is full (--max-size)"]
        );
        let (bytes, _) = archive.close().expect("closed");
        assert_eq!(unpack(&bytes), [("b/logs/b.log".to_owned(), "0123".to_owned())]);
    }
}
