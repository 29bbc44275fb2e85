//! `render`: what `install` applies, as files.

use super::{
    adapter, budget,
    chosen::{self, Others},
    connect, guard, host, keeper, places, scaling, states,
};
use crate::{
    assets,
    cli::{Global, Render},
    cluster::Cluster,
    concern::Concern,
    config::{Boards, Settings, Which},
    enrolment::{Enrolments, Entry},
    grafana,
    model::{Configuration, Facts, Outcome, Service},
    monitoring::{self, Address, Keeper},
    objects::{Object, Plan, STACK_NAMESPACE},
    patches,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    resilience, stack, text, yaml,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// How our files begin; what does not is somebody else's.
const HEADER: &str = "# Rendered by `kubectl learnflow render`. Changes here are lost.\n";
const ENROLMENT: &str = "enrolment";
const PROMETHEUS: &str = "prometheus";
const README: &str = "\
# Rendered by `kubectl learnflow render`. Changes here are lost.

Each file here has the few fields that give a Deployment the middleware, and none of the rest. Apply
them after all other files, one after another, and wait for each Deployment in between:

    kubectl apply --server-side --field-manager=kubectl-learnflow -f deployment-NAME.yaml
    kubectl -n NAMESPACE rollout status deployment/NAME

Where a Resiliency is among the files: with Dapr 1.18 each sidecar in its scope that has hot reload on
restarts its runtime in place when it comes, and calls fail meanwhile. Where that must not be, apply it
after these Deployments, and roll them once more:

    kubectl -n NAMESPACE rollout restart deployment/NAME

Or copy the fields into the Deployments' own manifests. A plain `kubectl apply` without --server-side
works as well, but then `kubectl learnflow install` will find those fields owned by somebody else.
";

/// What is rendered.
struct Rendered {
    namespace: String,
    plan: Plan,
    enrolments: Option<Enrolments>,
    autoscalers: Vec<Object>,
}

pub(super) async fn run(args: &Render, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let mut settings = Settings::read(&args.choice, global)?;
    if args.images {
        let mut shape = settings.shape(false, false);
        shape.keeper = match &settings.prometheus.value {
            Some(which) => keeper::assumed(which),
            None => Keeper::Own,
        };
        shape.host = settings.grafana.value.as_ref().map(host::assumed).unwrap_or_default();
        let plan = Plan::shaped("default", &BTreeSet::new(), &shape)?;
        // Which of them there are shows in the cluster; their images do not depend on it.
        let kafka = match plan.measures {
            true => Concern::Kafka.objects(shape.profile)?,
            false => Vec::new(),
        };
        let kafka = kafka.into_iter().map(|object| patches::shaped(object, &shape));
        let all = plan.outside().cloned().chain(kafka);
        let images: BTreeSet<String> = all.flat_map(|object| patches::images(&object)).collect();
        images.iter().for_each(|image| printer.data_line(Tone::Plain, image));
        return Ok(Outcome::Good);
    }
    let concerns = &settings.concerns.value;
    let for_services = concerns.iter().any(|concern| !concern.is_of_stack());
    // What these depend on shows in the cluster only.
    let asked = concerns.asks_for(Concern::Autoscaling) || concerns.asks_for(Concern::Kafka);
    let told = !settings.services.value.is_empty() && !asked;
    // What it selects shows in the cluster only.
    let operated =
        matches!(settings.prometheus.value, Some(Which::Operated { .. })) && concerns.has(Concern::Prometheus);
    let existing = matches!(settings.grafana.value, Some(Boards::Existing { .. })) && concerns.has(Concern::Grafana);
    let rendered = if for_services && !told || operated || existing {
        with_cluster(settings, global, printer).await?
    } else {
        if concerns.has(Concern::Autoscaling) {
            let what = "No HorizontalPodAutoscaler is rendered: whether one is safe shows in the Deployments only";
            printer.step(Mark::Warn, what);
            printer.hint("Name no services, and they are read from the cluster; or see manifests/autoscaling.");
        }
        let adapter = Concern::PrometheusAdapter;
        if concerns.has(adapter) && !concerns.asks_for(adapter) {
            let what = "No prometheus-adapter is rendered: whether its place is free shows in the cluster only";
            printer.step(Mark::Warn, what);
            printer.hint("Name no services, and the cluster is asked; or name the part with --only.");
        }
        if concerns.has(Concern::Kafka) {
            let what = "No collector-kafka is rendered: how Kafka is reached shows in the Components only";
            printer.step(Mark::Warn, what);
            printer.hint("Name no services, and they are read from the cluster; or see manifests/kafka.");
        }
        if !settings.concerns.value.asks_for(adapter) {
            settings.concerns.value = settings.concerns.value.clone().without(adapter);
        }
        without_cluster(&settings, printer).await?
    };
    let files = files(&rendered)?;
    if rendered[0]
        .plan
        .stack
        .iter()
        .any(|object| object.reference() == grafana::secret())
    {
        let (secret, key) = grafana::PASSWORD;
        let what =
            format!("Secret {STACK_NAMESPACE}/{secret} is rendered without a password, and Grafana waits for one");
        printer.step(Mark::Warn, &what);
        printer.hint(&format!(
            "`install` chooses one. Without it: `kubectl -n {STACK_NAMESPACE} patch secret {secret} \
             -p '{{\"stringData\":{{\"{key}\":\"…\"}}}}'`."
        ));
    }
    match &args.output_dir {
        None => {
            if let Keeper::Plain(address) = &rendered[0].plan.keeper {
                let what = format!("The scrape jobs and rules for the Prometheus at {address} are no objects");
                printer.step(Mark::Warn, &what);
                printer.hint(&format!(
                    "With --output-dir FOLDER they are written to FOLDER/{PROMETHEUS}."
                ));
            }
            let objects = files.iter().filter(|(name, _)| name.ends_with(".yaml"));
            objects.for_each(|(_, text)| printer.document_text(&format!("---\n{text}")));
        }
        Some(folder) => {
            let stale = write(folder, &files)?;
            let place = folder.display();
            printer.step(Mark::Good, &format!("{} in {place}", text::count(files.len(), "file")));
            for name in stale {
                printer.step(Mark::Good, &format!("removed {name}, which this version does not have"));
            }
        }
    }
    Ok(Outcome::Good)
}

/// Who keeps the metrics, where that needs no cluster.
fn said(settings: &Settings) -> Option<Keeper> {
    let which = settings.prometheus.value.as_ref()?;
    let keeper = keeper::assumed(which);
    keeper.object().is_none().then_some(keeper)
}

/// All is said in the settings.
async fn without_cluster(settings: &Settings, printer: &Printer) -> Result<Vec<Rendered>, Problem> {
    let mut shape = settings.shape(false, false);
    shape.keeper = said(settings).unwrap_or_default();
    shape.host = settings.grafana.value.as_ref().map(host::assumed).unwrap_or_default();
    let fit = budget::fit(None, settings, &shape).await?;
    let shape = shape.fitted(fit);
    budget::say(&shape, settings, false, printer);
    let namespaces = match settings.namespaces.value.as_slice() {
        // Nothing goes there.
        [] if shape.concerns.iter().all(Concern::is_of_stack) => vec![String::new()],
        [] => {
            return Err(Problem::new("The namespace of the services is not known.")
                .next("Name it with -n, or in `namespaces` in learnflow.yaml."));
        }
        namespaces => namespaces.to_vec(),
    };
    let each = namespaces.into_iter().enumerate().map(|(n, namespace)| {
        let settings = settings.within(&namespace);
        let service = |entry: &crate::config::Entry| Service {
            name: entry.name.clone(),
            app_id: entry.app_id.clone().or_else(|| Some(entry.name.clone())),
            ..Service::default()
        };
        let services: Vec<Service> = settings.services.value.iter().map(service).collect();
        let app_ids = services.iter().filter_map(|service| service.app_id.clone()).collect();
        let mut plan = Plan::shaped(&namespace, &app_ids, &shape)?;
        if n > 0 {
            plan.leave_stack();
        }
        let nothing = Facts::default();
        let components = resilience::components(settings.pubsub.value.as_deref(), &nothing);
        resilience::decide(&mut plan, &nothing, &components, &services)?;
        Ok(Rendered::new(namespace, plan, &services, &[]))
    });
    each.collect()
}

async fn with_cluster(mut settings: Settings, global: &Global, printer: &Printer) -> Result<Vec<Rendered>, Problem> {
    let hint = "To render without a cluster, name the services with --service or in learnflow.yaml.";
    let cluster = connect(global, &settings)
        .await
        .map_err(|problem| also(problem, hint))?;
    let clusters = places(&cluster, &settings);
    let all = stream::iter(&clusters).then(Cluster::facts).try_collect::<Vec<_>>();
    let all = all.await.map_err(|problem| also(problem, hint))?;
    chosen::known(&settings.exclude.value, &all, &clusters)?;
    let (host, mut checks) = host::choose(&cluster, &settings).await?;
    let keeper = match said(&settings) {
        Some(keeper) => keeper,
        None => {
            let chosen = keeper::choose(&cluster, &settings).await?;
            checks.extend(chosen.checks);
            chosen.keeper
        }
    };
    checks.extend(states::leave_out(&cluster, &mut settings, &keeper).await?);
    checks.extend(adapter::leave_out(&cluster, &mut settings).await?);
    guard::remark(&checks, printer)?;
    let others = Others { keeper, host, checks };
    let shape = chosen::shape(&cluster, &settings, &others).await?;
    budget::say(&shape, &settings, true, printer);
    let mut rendered = Vec::new();
    for (n, (cluster, facts)) in clusters.iter().zip(all).enumerate() {
        let settings = settings.within(&cluster.namespace);
        let (services, mut plan) = chosen::services(&facts, &settings, &shape, &cluster.namespace)?;
        if services.is_empty() && shape.concerns.iter().any(|concern| !concern.is_of_stack()) {
            let what = format!("No Deployment with a Dapr sidecar in namespace {}.", cluster.namespace);
            return Err(Problem::new(what).next(hint));
        }
        if n > 0 {
            plan.leave_stack();
        }
        let autoscalers = scaling::plan(cluster, &plan, &facts, &services, &settings).await?;
        guard::remark(&autoscalers.checks, printer)?;
        guard::remark(&plan.kafka.checks, printer)?;
        let mut one = Rendered::new(cluster.namespace.clone(), plan, &services, &facts.configurations);
        one.autoscalers = autoscalers.objects;
        rendered.push(one);
    }
    Ok(rendered)
}

fn also(mut problem: Problem, hint: &str) -> Problem {
    let next = problem.next.take();
    problem.next(next.map_or_else(|| hint.to_owned(), |next| format!("{next} {hint}")))
}

impl Rendered {
    fn new(namespace: String, plan: Plan, services: &[Service], known: &[Configuration]) -> Self {
        // Not quietly: that takes a moment between two objects, which no file can ask for.
        let enrolments = plan.enrols.then(|| Enrolments::new(&plan, services, known, false));
        Self {
            namespace,
            plan,
            enrolments,
            autoscalers: Vec::new(),
        }
    }
}

/// Names and contents, in the order in which they are applied.
fn files(all: &[Rendered]) -> Result<BTreeMap<String, String>, Problem> {
    let mut files = BTreeMap::new();
    let mut number = 0;
    for Rendered {
        plan,
        enrolments,
        autoscalers,
        namespace,
    } in all
    {
        let enrolments = enrolments.as_ref();
        let objects = enrolments.into_iter().flat_map(Enrolments::objects);
        for object in plan
            .outside()
            .chain(objects)
            .chain(autoscalers)
            .chain(&plan.kafka.objects)
        {
            let name = format!("{number:02}-{}-{}.yaml", object.kind().to_lowercase(), object.name());
            files.insert(name, file(object)?);
            number += 1;
        }
        // Services of two namespaces may have the same name.
        let folder = match all {
            [_] => ENROLMENT.to_owned(),
            _ => format!("{ENROLMENT}/{namespace}"),
        };
        for Entry { service, enrolment, .. } in enrolments.into_iter().flat_map(|enrolments| &enrolments.entries) {
            let patch = Object::known(enrolment.patch(namespace, service));
            files.insert(format!("{folder}/deployment-{}.yaml", service.name), file(&patch)?);
            files.insert(format!("{ENROLMENT}/README.md"), README.to_owned());
        }
    }
    if let Some(Keeper::Plain(address)) = all.first().map(|first| &first.plan.keeper) {
        files.extend(for_another(address)?);
    }
    Ok(files)
}

/// What the owner of a Prometheus adds to its configuration. Not `.yaml`: these are no objects.
fn for_another(address: &Address) -> Result<Vec<(String, String)>, Problem> {
    let jobs = stack::scrape_jobs()?;
    let head = format!(
        "{HEADER}# Add these jobs to the configuration of the Prometheus at {address}, and the files in rules/ to its rule_files.\n\
         # Its ServiceAccount must be allowed to get, list and watch pods in all namespaces.\n"
    );
    let mut files = vec![(
        format!("{PROMETHEUS}/scrape-config.yml"),
        format!("{head}{}", yaml::write(&jobs)?),
    )];
    for (name, text) in assets::rules() {
        let rules = monitoring::rules(name, &assets::yaml(name, text)?);
        let name = name.trim_end_matches(".yaml");
        let text = format!("{HEADER}{}", yaml::write(&rules.value()["spec"])?);
        files.push((format!("{PROMETHEUS}/rules/{name}.yml"), text));
    }
    Ok(files)
}

fn file(object: &Object) -> Result<String, Problem> {
    Ok(format!("{HEADER}{}", yaml::write(object.value())?))
}

/// Writes what is new or different, and removes what was rendered once and is not any more.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<Vec<String>, Problem> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: io::Error| {
            Problem::new(format!("Cannot write {path}: {e}.")).next("Name another folder with --output-dir.")
        }
    };
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let same = fs::read_to_string(&path).is_ok_and(|there| there == *text);
        if !same {
            // Whole or not at all: somebody may be reading.
            let half = path.with_extension("part");
            fs::write(&half, text).map_err(failed(&half))?;
            fs::rename(&half, &path).map_err(failed(&path))?;
        }
    }
    let mut stale = Vec::new();
    let mut folders = vec![
        String::new(),
        ENROLMENT.into(),
        PROMETHEUS.into(),
        format!("{PROMETHEUS}/rules"),
    ];
    let of_namespaces = fs::read_dir(folder.join(ENROLMENT)).into_iter().flatten().flatten();
    let of_namespaces = of_namespaces.filter(|entry| entry.path().is_dir());
    folders.extend(of_namespaces.map(|entry| format!("{ENROLMENT}/{}", entry.file_name().to_string_lossy())));
    for below in folders {
        for entry in fs::read_dir(folder.join(&below)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            let ours = || fs::read_to_string(entry.path()).is_ok_and(|text| text.starts_with(HEADER));
            if !files.contains_key(&name) && ours() {
                fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
                stale.push(name);
            }
        }
    }
    stale.sort();
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn rendered(arguments: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
        let cli = Cli::try_parse_from([&["x", "render"], arguments].concat()).expect("good flags");
        let Verb::Render(args) = cli.verb else {
            panic!("not render")
        };
        let settings = Settings::read(&args.choice, &cli.global)?;
        let (printer, ..) = crate::printer::tests::captured();
        let rendered = without_cluster(&settings, &printer);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        files(&runtime.block_on(rendered)?)
    }

    /// Written anew by `UPDATE_EXPECT=1`.
    #[test]
    fn it_is_rendered_as_it_was() {
        let files = rendered(&[
            "-n=shop",
            "--service=cart=cart-app",
            "--registry=r.io/m",
            "--image-pull-secret=pull",
            "--profile=production",
        ]);
        let files = files.expect("files").into_iter();
        let all: String = files
            .map(|(name, text)| format!("==> {name}\n{}", abridged(&name, &text)))
            .collect();
        // This changes with the middleware.
        let all = all.replace(&crate::objects::revision(&[crate::assets::guest()]), "…");
        crate::testing::same_as_file("tests/cases/render.expected.txt", &all);
    }

    /// Without what other tests are about, and changes often: the contents of files, and hashes of them.
    fn abridged(name: &str, text: &str) -> String {
        if !name.ends_with(".yaml") {
            return text.to_owned();
        }
        let mut object: serde_json::Value = serde_saphyr::from_str(text).expect("YAML");
        for content in ["data", "binaryData"] {
            let contents = object.get_mut(content).and_then(|content| content.as_object_mut());
            contents
                .into_iter()
                .flatten()
                .for_each(|(_, value)| *value = "…".into());
        }
        let annotations = object.pointer_mut("/spec/template/metadata/annotations");
        let annotations = annotations.and_then(|annotations| annotations.as_object_mut());
        let ours = annotations
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("learnflow.dev/"));
        ours.for_each(|(_, value)| *value = "…".into());
        yaml::write(&object).expect("YAML")
    }

    #[test]
    fn the_same_settings_give_the_same_bytes() {
        let arguments = ["-n=shop", "--service=b", "--service=a"];
        assert_eq!(
            rendered(&arguments),
            rendered(&["-n=shop", "--service=a", "--service=b"])
        );
        assert_ne!(rendered(&arguments), rendered(&["-n=shop", "--service=a"]));
    }

    #[test]
    fn a_folder_follows_and_what_is_not_ours_stays() {
        let folder = std::env::temp_dir().join(format!("learnflow-render-{}", std::process::id()));
        let two = rendered(&["-n=shop", "--service=a", "--service=b"]).expect("files");
        let one = rendered(&["-n=shop", "--service=a", "--only=middleware"]).expect("files");
        assert_eq!(write(&folder, &two), Ok(Vec::new()));
        fs::write(folder.join("kustomization.yaml"), "theirs").expect("written");
        let stale = write(&folder, &one).expect("written");
        assert!(stale.contains(&"enrolment/deployment-b.yaml".to_owned()), "{stale:?}");
        let left: BTreeSet<String> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left.len(), 3 + 2, "{left:?}");
        assert!(left.contains("kustomization.yaml"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
