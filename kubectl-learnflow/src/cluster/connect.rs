//! From a kubeconfig to a cluster that can be asked.

use super::{
    Cluster,
    again::{Again, Endurance},
    http2,
};
use crate::{cli::Global, problem::Problem, text};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{
    Client, Config,
    client::{AuthError, Body},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    io::ErrorKind,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tower::{BoxError, retry::Retry, service_fn};

/// No cluster takes longer to accept a connection; a wrong address would.
const CONNECT: Duration = Duration::from_secs(10);

impl Cluster {
    /// Reads the kubeconfig. The cluster itself is first asked by the first request.
    pub(crate) async fn connect(options: &Global) -> Result<Self, Problem> {
        Self::through(http2::client, options, options.request_timeout).await
    }

    /// The same for a verb that always needs ports of pods.
    pub(crate) async fn connect_for_ports(options: &Global) -> Result<Self, Problem> {
        let cluster = Self::through(Client::try_from, options, options.request_timeout).await?;
        Ok(cluster.with_ports_of_its_own())
    }

    /// The same, and they may be silent for as long as they like.
    pub(crate) async fn connect_for_streams(options: &Global) -> Result<Self, Problem> {
        let cluster = Self::through(Client::try_from, options, Duration::ZERO).await?;
        Ok(cluster.with_ports_of_its_own())
    }

    fn with_ports_of_its_own(mut self) -> Self {
        self.ports = Arc::default();
        self
    }

    async fn through(
        client: impl FnOnce(Config) -> kube::Result<Client>,
        options: &Global,
        limit: Duration,
    ) -> Result<Self, Problem> {
        let (mut config, context) = match kubeconfig(options)? {
            Some(kubeconfig) => {
                let context = options.context.clone().or_else(|| kubeconfig.current_context.clone());
                let context = known_context(&kubeconfig, context)?;
                let choice = KubeConfigOptions {
                    context: Some(context.clone()),
                    ..Default::default()
                };
                let config = Config::from_custom_kubeconfig(kubeconfig, &choice)
                    .await
                    .map_err(|e| unusable(&e).next(format!("Correct context {context} of the kubeconfig.")))?;
                (config, context)
            }
            None => (Config::incluster().map_err(|_| nowhere())?, "in-cluster".to_owned()),
        };
        impersonate(&mut config, options)?;
        // 0 waits for ever, as with kubectl.
        let limit = Some(limit).filter(|limit| !limit.is_zero());
        config.connect_timeout = Some(limit.unwrap_or(CONNECT).min(CONNECT));
        config.read_timeout = limit;
        config.write_timeout = limit;
        // Else the time for which a connection lay idle would count as the server's.
        config.reset_reader_on_write = true;
        let namespace = options
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();

        // A Prometheus without ready pods is "service unavailable": an answer, no reason to retry.
        config.default_retry = false;
        let login = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let ports = Ports {
            config: Some(config.clone()),
            client: OnceLock::new(),
        };
        let impatient = client(config).map_err(|e| no_client(&e, login.as_deref(), &context))?;
        let endurance = Arc::<Endurance>::default();
        let again = Again::new(endurance.clone(), &server, &context);
        Ok(Self {
            client: retrying(&impatient, again),
            impatient,
            endurance,
            context,
            server,
            namespace,
            metrics: Default::default(),
            ports: Arc::new(ports),
        })
    }

    /// A client that can open ports of pods.
    pub(super) fn for_ports(&self) -> kube::Result<Client> {
        let Some(config) = &self.ports.config else {
            return Ok(self.client.clone());
        };
        if let Some(client) = self.ports.client.get() {
            return Ok(client.clone());
        }
        let client = Client::try_from(config.clone())?;
        Ok(self.ports.client.get_or_init(|| client).clone())
    }
}

/// Ports of pods need HTTP/1.1. A client for that is made when the first port is opened, since making one may be a login.
#[derive(Default)]
pub(super) struct Ports {
    /// `None`: the cluster's own client speaks it.
    config: Option<Config>,
    client: OnceLock<Client>,
}

/// The same client, patient: one login and one connection for both.
fn retrying(client: &Client, again: Again) -> Client {
    let base = client.clone();
    let service = service_fn(move |request: Request<Body>| {
        let base = base.clone();
        async move { whole(base.send(request).await?).await }
    });
    Client::new(Retry::new(again, service), client.default_namespace())
}

/// An answer that breaks off in its middle is none. Whatever we ask for has an end, but for a forwarded port.
async fn whole(answer: Response<Body>) -> Result<Response<Body>, BoxError> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Who the flags say we are; the kubeconfig may say so too.
fn impersonate(config: &mut Config, options: &Global) -> Result<(), Problem> {
    let Some(user) = &options.as_user else {
        if options.as_group.is_empty() {
            return Ok(());
        }
        return Err(
            Problem::new("--as-group alone is not enough: a group has no name of its own.")
                .next("Name the user with --as too."),
        );
    };
    let names = [user].into_iter().chain(&options.as_group);
    if let Some(name) = names
        .into_iter()
        .find(|n| n.trim().is_empty() || n.chars().any(char::is_control))
    {
        return Err(Problem::new(format!("`{name}` is no name to act as.")).next("Correct --as or --as-group."));
    }
    let auth = &mut config.auth_info;
    auth.impersonate = Some(user.clone());
    auth.impersonate_groups = (!options.as_group.is_empty()).then(|| options.as_group.clone());
    // What the kubeconfig says of another user is not this one's.
    auth.impersonate_uid = None;
    auth.impersonate_user_extra = None;
    Ok(())
}

fn kubeconfig(options: &Global) -> Result<Option<Kubeconfig>, Problem> {
    let read = match &options.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let named = options.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some_and(|v| !v.is_empty());
    match read {
        Ok(kubeconfig) => Ok(Some(kubeconfig)),
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(e, _)) if e.kind() == ErrorKind::NotFound && !named => Ok(None),
        Err(KubeconfigError::ReadConfig(e, path)) => Err(Problem::new(format!(
            "Cannot read the kubeconfig {}: {e}.",
            path.display()
        ))
        .next("Name another one with --kubeconfig or $KUBECONFIG.")),
        Err(e) => Err(unusable(&e).next("Correct it, or name another one with --kubeconfig or $KUBECONFIG.")),
    }
}

/// Names of the contexts there are.
pub(crate) fn contexts(options: &Global) -> Result<Vec<String>, Problem> {
    let contexts = kubeconfig(options)?
        .map(|kubeconfig| kubeconfig.contexts)
        .unwrap_or_default();
    Ok(contexts.into_iter().map(|context| context.name).collect())
}

fn known_context(kubeconfig: &Kubeconfig, wanted: Option<String>) -> Result<String, Problem> {
    let names: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let choose = match names.as_slice() {
        [] => "It has no context at all: name another kubeconfig with --kubeconfig.".to_owned(),
        names => format!("Choose one with --context: {}.", text::list(names)),
    };
    match wanted.filter(|name| !name.is_empty()) {
        Some(name) if names.contains(&name.as_str()) => Ok(name),
        Some(name) => Err(Problem::new(format!("The kubeconfig has no context {name}.")).next(choose)),
        None => Err(Problem::new("The kubeconfig has no current context.").next(choose)),
    }
}

fn nowhere() -> Problem {
    Problem::new("No cluster is configured: there is no ~/.kube/config and $KUBECONFIG is not set.")
        .next("Name a kubeconfig with --kubeconfig or $KUBECONFIG.")
}

/// A login program is the part of a kubeconfig that goes wrong most often. What it was called with is
/// not shown: that may be secret.
fn no_client(error: &kube::Error, login: Option<&str>, context: &str) -> Problem {
    let kube::Error::Auth(e) = error else {
        return unusable(error);
    };
    let login = login.unwrap_or("the login program");
    let why = match e {
        AuthError::AuthExecStart(e) => format!("{login} does not start ({e})"),
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said
                .trim()
                .lines()
                .last()
                .unwrap_or("it said nothing")
                .trim()
                .to_owned();
            format!("{login} ended with {} ({said})", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => format!("{login} gave no ExecCredential"),
        other => other.to_string(),
    };
    Problem::new(format!(
        "Cannot get credentials for context {context}: {}.",
        why.trim_end_matches('.')
    ))
    .next("Log in again, or correct the user of that context in the kubeconfig.")
}

fn unusable(error: &dyn std::error::Error) -> Problem {
    // What follows the first line draws the place in the file.
    let why = error.to_string();
    let why = why.lines().next().unwrap_or_default().trim_end_matches('.');
    Problem::new(format!("The kubeconfig cannot be used: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_context_lists_the_right_ones() {
        let yaml = "contexts:\n- {name: blue, context: {cluster: a}}\n- {name: green, context: {cluster: b}}";
        let kubeconfig = Kubeconfig::from_yaml(yaml).expect("valid");
        let context = |name: Option<&str>| known_context(&kubeconfig, name.map(str::to_owned));
        assert_eq!(context(Some("green")), Ok("green".to_owned()));
        let problem = context(Some("red")).expect_err("there is no red");
        assert_eq!(problem.what, "The kubeconfig has no context red.");
        assert_eq!(problem.next.as_deref(), Some("Choose one with --context: blue, green."));
        assert!(context(None).is_err());
        assert!(known_context(&Kubeconfig::default(), Some("x".into())).is_err());
    }
}
