//! `dashboard`: a port of this machine that leads to a page of the stack, as long as it runs.

use crate::{
    cli::{Dashboard, Page},
    cluster::Cluster,
    grafana::{Host, PASSWORD},
    model::Outcome,
    monitoring::{Address, Keeper},
    objects::STACK_NAMESPACE,
    printer::{Mark, Printer, Tone},
    problem::{Kind, Problem},
};
use std::{
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

/// How long a request waits for a pod that is being replaced.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(15);
/// What a page is behind: the name of its app, and of its port.
const PAGES: [(Page, &str, &str); 3] = [
    (Page::Grafana, "grafana", "http"),
    (Page::Prometheus, "prometheus", "http"),
    (Page::Traces, "traces", "http"),
];

/// A page, and how its pods are found.
#[derive(Debug, Clone)]
struct Found {
    page: Page,
    name: &'static str,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// A part of ours: its app, and the name of its port.
    Ours(&'static str, &'static str),
    /// Somebody else's.
    At(Address),
}

impl Way {
    fn namespace(&self) -> &str {
        match self {
            Self::Ours(..) => STACK_NAMESPACE,
            Self::At(address) => &address.namespace,
        }
    }

    async fn pod(&self, cluster: &Cluster) -> Result<Option<(String, u16)>, Problem> {
        match self {
            Self::Ours(app, port) => cluster.ready_pod(app, port).await,
            Self::At(address) => cluster.ready_pod_at(address).await,
        }
    }
}

pub(super) async fn run(cluster: &Cluster, args: &Dashboard, printer: &Printer) -> Result<Outcome, Problem> {
    let page = find(cluster, args.page).await?;
    let gate = Gate::open(page, SocketAddr::new(args.address, args.port)).await?;
    let (address, page) = (gate.address, &gate.page);
    if !address.ip().is_loopback() {
        printer.step(
            Mark::Warn,
            &format!("Whoever can reach {} can use this page", address.ip()),
        );
        if page.page != Page::Grafana {
            printer.hint("It has no password of its own and reads with your permissions.");
        }
    }
    let url = gate.url("/");
    printer.data_line(Tone::Plain, &url);
    if page.page == Page::Grafana {
        let (secret, key) = PASSWORD;
        printer.hint(&format!(
            "User admin; its password: `kubectl -n {STACK_NAMESPACE} get secret {secret} -o \
             go-template='{{{{.data.{key} | base64decode}}}}'`."
        ));
    }
    printer.hint(&format!("{} of this cluster. Ctrl-C ends it.", page.name));
    if !args.no_open && std::io::stdout().is_terminal() {
        open(&url);
    }
    gate.lead(cluster, printer).await
}

/// The traces of this cluster at a free port of this machine alone, where they are installed.
pub(super) async fn traces(cluster: &Cluster) -> Result<Gate, Problem> {
    Gate::open(
        find(cluster, Some(Page::Traces)).await?,
        (Ipv4Addr::LOCALHOST, 0).into(),
    )
    .await
}

/// A port of this machine, and the page that it leads to.
pub(super) struct Gate {
    listener: TcpListener,
    address: SocketAddr,
    page: Found,
}

impl Gate {
    async fn open(page: Found, address: SocketAddr) -> Result<Self, Problem> {
        let listener = TcpListener::bind(address).await.map_err(|e| {
            Problem::new(format!("Cannot listen on {address}: {e}."))
                .next("Choose another one with --port or --address; --port 0 takes a free port.")
        })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self {
            listener,
            address,
            page,
        })
    }

    /// Of something on the page.
    pub(super) fn url(&self, path: &str) -> String {
        let (scheme, before) = match &self.page.way {
            Way::At(address) if address.tls => ("https", &*address.path),
            Way::At(address) => ("http", &*address.path),
            Way::Ours(..) => ("http", ""),
        };
        format!("{scheme}://{}{before}{path}", display(self.address))
    }

    /// Leads there, without end.
    pub(super) async fn lead(self, cluster: &Cluster, printer: &Printer) -> Result<Outcome, Problem> {
        // All in this one task's set: when the command ends, so do the connections.
        let mut open = tokio::task::JoinSet::new();
        let cluster = Arc::new(cluster.clone());
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let Ok((connection, _)) = accepted else {
                        // Out of file descriptors, for a moment.
                        sleep(POLL).await;
                        continue;
                    };
                    let (cluster, page) = (cluster.clone(), self.page.clone());
                    open.spawn(async move { serve(&cluster, &page, connection).await });
                }
                Some(ended) = open.join_next() => {
                    if let Ok(Err(problem)) = ended {
                        printer.problem(&problem);
                    }
                }
            }
        }
    }
}

/// The page that was asked for, or the first that there is.
async fn find(cluster: &Cluster, page: Option<Page>) -> Result<Found, Problem> {
    let wanted = PAGES
        .iter()
        .filter(|(other, ..)| page.is_none_or(|page| page == *other));
    let mut missing = Vec::new();
    for (page, app, port) in wanted {
        let name = match page {
            Page::Grafana => "Grafana",
            Page::Prometheus => "Prometheus",
            Page::Traces => "The trace store",
        };
        let way = match (page, cluster.keeper().await?) {
            (Page::Prometheus, Some(keeper)) if keeper != Keeper::Own => Way::At(keeper.address()),
            _ => Way::Ours(app, port),
        };
        if way.pod(cluster).await?.is_some() {
            return Ok(Found { page: *page, name, way });
        }
        missing.push(name);
    }
    if let (Some(Page::Grafana), Some(Host::Existing(theirs))) = (page, cluster.host().await?) {
        let what = format!("Grafana {}/{} has the boards.", theirs.namespace, theirs.name);
        return Err(Problem::new(what).next("Open it as you always do: LearnFlow brings none of its own here."));
    }
    Err(Problem::new(match missing.as_slice() {
        [one] => format!("{one} is not installed, or not ready."),
        _ => format!("No page is installed in {STACK_NAMESPACE}."),
    })
    .next("See `kubectl learnflow status`, and install what is missing with `kubectl learnflow install`."))
}

/// Leads one connection to whichever pod is ready now. A pod that goes away takes its connections
/// with it, and the browser's next one finds the pod that has come instead.
async fn serve(cluster: &Cluster, page: &Found, mut connection: TcpStream) -> Result<(), Problem> {
    let began = Instant::now();
    let mut stream = loop {
        match reach(cluster, page).await {
            Ok(stream) => break stream,
            Err(problem) if problem.kind == Kind::Forbidden || began.elapsed() >= PATIENCE => return Err(problem),
            Err(_) => sleep(POLL).await,
        }
    };
    // How a connection ends is between the browser and the page.
    drop(copy_bidirectional(&mut connection, &mut stream).await);
    Ok(())
}

async fn reach(cluster: &Cluster, page: &Found) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Problem> {
    let found = async {
        let pod = page.way.pod(cluster).await?;
        let (pod, port) = pod.ok_or_else(|| Problem::new(format!("No pod of {} is ready.", page.name)))?;
        cluster.open(page.way.namespace(), &pod, port).await
    };
    // The client of a dashboard has no limit of its own: a page may be silent for hours.
    let late = |_| Problem::new(format!("The way to {} did not open in time.", page.name));
    timeout(ANSWER, found).await.map_err(late)?
}

/// What to type into a browser: nobody can go to 0.0.0.0.
fn display(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    }
}

/// Where there is no browser nothing happens: the address is on the screen.
pub(super) fn open(url: &str) {
    let program: &[&str] = if cfg!(target_os = "macos") {
        &["open"]
    } else if cfg!(windows) {
        &["cmd", "/c", "start"]
    } else {
        &["xdg-open"]
    };
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(command.spawn());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::Fake;

    #[test]
    fn a_page_that_is_not_installed_is_refused_with_what_to_do() {
        let fake = Fake::sound();
        let problem = fake.run(async |cluster| find(cluster, Some(Page::Grafana)).await.map(|page| page.name));
        let problem = problem.expect_err("nothing is installed");
        assert_eq!(problem.what, "Grafana is not installed, or not ready.");
        assert!(problem.next.is_some_and(|next| next.contains("install")));
        let problem = fake.run(async |cluster| find(cluster, None).await.map(|page| page.name));
        assert_eq!(
            problem.expect_err("nothing").what,
            "No page is installed in learnflow-system."
        );
    }

    #[test]
    fn a_grafana_of_somebody_else_is_named() {
        let fake = Fake::sound();
        let theirs = serde_json::json!({ "existing": { "namespace": "boards", "name": "main",
            "boards": { "namespace": "boards" } } });
        let annotations = serde_json::json!({ "learnflow.dev/grafana": theirs.to_string() });
        fake.put(
            "/api/v1/namespaces/learnflow-system/configmaps/learnflow",
            serde_json::json!({ "metadata": { "name": "learnflow", "annotations": annotations } }),
        );
        let problem = fake.run(async |cluster| find(cluster, Some(Page::Grafana)).await.map(|page| page.name));
        assert_eq!(
            problem.expect_err("it is not ours").what,
            "Grafana boards/main has the boards."
        );
    }

    #[test]
    fn an_address_that_can_be_typed_is_printed() {
        let shown = |address: &str| display(address.parse().expect("an address")).to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::1]:80"), "[::1]:80");
    }
}
