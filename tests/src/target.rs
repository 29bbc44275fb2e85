//! The cluster under test. Never one by accident: it is a lab, or a kubeconfig that somebody named.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use learnflow_lab::{Lab, kubectl};

/// Where LearnFlow's services run in the demo and the tests.
pub const SERVICES_NAMESPACE: &str = "learnflow";
/// Where `kubectl learnflow install` puts its stack.
pub const STACK_NAMESPACE: &str = "learnflow-system";
/// Where the Collector's agents run.
pub const AGENT_NAMESPACE: &str = "learnflow-agents";
/// All that `kubectl learnflow install` makes.
pub const OUR_NAMESPACES: [&str; 2] = [STACK_NAMESPACE, AGENT_NAMESPACE];

/// Nobody has Grafana's image here, so whatever installs goes without; who wants it says which. The choice is remembered in the
/// cluster, so verbs that look need not be told.
const WITHOUT_GRAFANA: &str = "--grafana=none";
const INSTALLING: [&str; 4] = ["install", "diff", "render", "rbac"];

const SERVICES: &[&str] = &["frontend", "course-agent", "user-progress"];
const IMAGE: &str = "ghcr.io/learnflow/services:0.1.0";

#[derive(Debug, Clone)]
pub struct Target {
    kubeconfig: PathBuf,
    context: Option<String>,
    kubectl: PathBuf,
    plugin: PathBuf,
    image: String,
    lab: Option<Lab>,
}

impl Target {
    /// A lab, with the image of LearnFlow's services loaded.
    pub fn lab(lab: Lab, plugin: PathBuf, services_image: &Path) -> Result<Target> {
        lab.load_image(services_image)?;
        Ok(Target {
            kubeconfig: lab.kubeconfig(),
            context: None,
            kubectl: lab.parts().file("kubernetes", "kubectl"),
            plugin,
            image: IMAGE.to_owned(),
            lab: Some(lab),
        })
    }

    /// A cluster that somebody named on purpose. Its nodes must be able to pull `image`.
    pub fn named(kubeconfig: PathBuf, context: Option<String>, image: Option<String>, plugin: PathBuf) -> Target {
        Target {
            kubeconfig,
            context,
            kubectl: "kubectl".into(),
            plugin,
            image: image.unwrap_or_else(|| IMAGE.to_owned()),
            lab: None,
        }
    }

    pub fn running_lab(&self) -> Option<&Lab> {
        self.lab.as_ref()
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command
    }

    /// `kubectl` with these arguments; its output, or an error that carries what it said.
    pub fn run_kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl().args(arguments).output().context("cannot run kubectl")?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl learnflow …` for the services' namespace.
    pub fn plugin(&self, arguments: &[&str]) -> Command {
        self.plugin_in(SERVICES_NAMESPACE, arguments)
    }

    pub fn plugin_in(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.plugin);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .args(["--namespace", namespace])
            .stdin(Stdio::null());
        let installs = arguments.first().is_some_and(|verb| INSTALLING.contains(verb));
        if installs && !arguments.iter().any(|argument| argument.contains("grafana")) {
            command.arg(WITHOUT_GRAFANA);
        }
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command
    }

    pub fn run_plugin(&self, arguments: &[&str]) -> Result<Output> {
        self.plugin(arguments).output().context("cannot run kubectl-learnflow")
    }

    /// Puts LearnFlow's services on the cluster and waits for them.
    pub fn deploy_services(&self) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("services/k8s");
        let mut manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {SERVICES_NAMESPACE}}}\n");
        let mut files: Vec<_> = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        for file in files {
            manifest.push_str("---\n");
            manifest.push_str(&fs::read_to_string(file)?.replace(IMAGE, &self.image));
        }
        self.apply(Some(SERVICES_NAMESPACE), &manifest)?;
        self.wait_for_services()
    }

    pub fn wait_for_services(&self) -> Result<()> {
        for service in SERVICES {
            self.wait_rolled_out(SERVICES_NAMESPACE, &format!("deployment/{service}"))?;
        }
        Ok(())
    }

    /// Applies a manifest. Without a namespace every object must name its own, if it has one.
    pub fn apply(&self, namespace: Option<&str>, manifest: &str) -> Result<()> {
        kubectl::apply(self.kubectl(), namespace, manifest)
    }

    pub fn wait_rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        kubectl::wait_rolled_out(|| self.kubectl(), namespace, workload, Duration::from_secs(180))
    }

    /// A free loopback port that leads to a Service or a pod.
    pub fn port_forward(&self, namespace: &str, to: &str, port: u16) -> Result<PortForward> {
        let mut child = self
            .kubectl()
            .args(["--namespace", namespace, "port-forward", to, &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("kubectl's output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        // Forwarding from 127.0.0.1:41233 -> 8080
        let local = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("127.0.0.1:"))
            .and_then(|port| port.parse().ok());
        let Some(local) = local else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("cannot forward a port to {namespace}/{to}");
        };
        // kubectl writes a line for each connection: read on, or it blocks on a full pipe.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(PortForward { child, port: local })
    }
}

/// Ends with its value.
#[derive(Debug)]
pub struct PortForward {
    child: Child,
    port: u16,
}

impl PortForward {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
