use super::*;
use crate::{
    cli::{Cli, Verb},
    cluster::fake::Fake,
    commands::{check, diff, enrol_some, explain, install, simulate, status, uninstall, verify, version},
    config::Settings,
    model::Access,
    permissions::{access, granted, of},
    printer::tests::captured,
};
use clap::Parser;

const SHOP: &str = "shop";

fn plan() -> Plan {
    Plan::new(SHOP, &BTreeSet::new()).expect("the plugin's own manifests")
}

/// What a request takes: `GET /api/v1/namespaces/shop/pods/x/log` is get pods/log.
fn access_of(request: &str) -> Option<Access> {
    let (method, path) = request.split_once(' ')?;
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = match parts.first() {
        Some(&"api") => parts.drain(..2.min(parts.len())).next().map(|_| "")?,
        Some(&"apis") if parts.len() > 3 => parts.drain(..3).nth(1)?,
        _ => return None,
    };
    let namespace = match parts.as_slice() {
        ["namespaces", namespace, _, ..] => Some((*namespace).to_owned()),
        _ => None,
    };
    if namespace.is_some() {
        parts.drain(..2);
    }
    let name = parts.get(1).map(|name| (*name).to_owned());
    let resource = match parts.get(2) {
        Some(sub) => format!("{}/{sub}", parts[0]),
        None => (*parts.first()?).to_owned(),
    };
    // Everybody may ask about himself.
    if resource.starts_with("selfsubject") {
        return None;
    }
    let verb = match (method, &name) {
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "create",
    };
    Some(Access {
        name,
        ..access(verb, group, &resource, namespace.as_deref())
    })
}

fn covers(have: &Access, want: &Access) -> bool {
    let same = |have: &str, want: &str| have == "*" || have == want;
    same(&have.verb, &want.verb)
        && same(&have.group, &want.group)
        && same(&have.resource, &want.resource)
        && (have.namespace.is_none() || have.namespace == want.namespace)
        && (have.name.is_none() || have.name == want.name)
}

/// Where something is tried that may fail, and what is done instead is in the list.
fn only_tried(access: &Access) -> bool {
    let everywhere = access.resource == "deployments" && access.namespace.is_none();
    // A dry run of an object whose namespace is not there yet.
    let stand_in = access
        .name
        .as_ref()
        .is_some_and(|name| name.starts_with("learnflow-try-"));
    // `status` does not insist: see there.
    let secret = access.resource == "secrets" && access.verb == "get";
    // How many partitions there are, from a Kafka that may be anywhere.
    let kafka = access.namespace.as_deref() == Some("kafka");
    everywhere || stand_in || secret || kafka
}

/// Runs a verb, and gives back what it asked the cluster for.
fn asked(fake: &Fake, run: impl AsyncFnOnce(&Cluster, &Printer)) -> BTreeSet<Access> {
    let before = fake.asked().len();
    let (printer, ..) = captured();
    fake.run(async |cluster| run(cluster, &printer).await);
    fake.asked()[before..]
        .iter()
        .filter_map(|request| access_of(request))
        .collect()
}

async fn run_install(cluster: &Cluster, printer: &Printer, more: &[&str]) -> Result<Outcome, Problem> {
    let cli = Cli::try_parse_from([&["x", "install", "--timeout=1s"], more].concat()).expect("good flags");
    let Verb::Install(args) = cli.verb else {
        panic!("not install")
    };
    let settings = Settings::read(&args.choice, &cli.global).expect("good settings");
    install::run(cluster, &args, settings, printer).await
}

/// Runs a verb of the command line that changes something.
async fn run_verb(cluster: &Cluster, printer: &Printer, line: &[&str]) -> Result<Outcome, Problem> {
    let cli = Cli::try_parse_from([&["x"], line].concat()).expect("good flags");
    let settings = Settings::read(&Default::default(), &cli.global).expect("good settings");
    let places = std::slice::from_ref(cluster);
    match cli.verb {
        Verb::Enroll(args) => enrol_some::enroll(places, &args, &settings, printer).await,
        Verb::Unenroll(args) => enrol_some::unenroll(places, &args, printer).await,
        Verb::Uninstall(args) => uninstall::run(places, &args, printer).await,
        _ => panic!("another verb"),
    }
}

/// Nothing is asked for that is not in the list, and nothing is in the list that is never asked for.
#[track_caller]
fn agree(task: Task, asked: &BTreeSet<Access>, unused: &[&str]) {
    let permissions = of(task, &plan(), SHOP);
    let missing: Vec<&Access> = asked
        .iter()
        .filter(|access| !only_tried(access) && !permissions.all().any(|have| covers(have, access)))
        .collect();
    assert!(missing.is_empty(), "{task:?} also needs {missing:#?}");
    // What is given to our own service accounts is not for us.
    let given: Vec<Access> = plan().all().flat_map(granted).collect();
    let idle: Vec<&Access> = permissions
        .required
        .iter()
        .filter(|have| {
            let used = asked.iter().any(|access| covers(have, access));
            // What is not there yet is created by the same request that would change it.
            let created = have.verb == "create"
                && asked.iter().any(|access| {
                    access.verb == "patch" && access.resource == have.resource && access.namespace == have.namespace
                });
            let what = format!("{} {}", have.verb, have.resource);
            !used && !created && !given.contains(have) && !unused.iter().any(|unused| what.starts_with(unused))
        })
        .collect();
    assert!(idle.is_empty(), "{task:?} does not need {idle:#?}");
}

#[test]
fn a_verb_does_exactly_what_it_says_it_may() {
    let fake = Fake::sound();
    // All that can be installed: a service that can be scaled, by its lag as well, and somebody who measures it.
    fake.measure();
    let orders = json!({ "pubsubname": "kafka-pubsub", "topic": "orders" });
    fake.put(
        "/apis/dapr.io/v2alpha1/namespaces/shop/subscriptions/orders",
        json!({ "metadata": { "name": "orders" }, "spec": orders }),
    );
    let web = json!([{ "name": "web", "resources": { "requests": { "cpu": "50m" } } }]);
    let cart = "/apis/apps/v1/namespaces/shop/deployments/cart";
    fake.change(
        cart,
        &json!({ "spec": { "template": { "spec": { "containers": web } } } }),
    );
    // With two pods at the least it has a budget as well.
    let two_pods = || {
        let place = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart";
        let ours = json!({ "name": "cart", "labels": { "app.kubernetes.io/managed-by": crate::objects::MANAGER } });
        let spec =
            json!({ "minReplicas": 2, "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "cart" } });
        fake.put(place, json!({ "metadata": ours, "spec": spec }));
    };
    two_pods();
    // Who may not look everywhere looks where Dapr usually is.
    let no = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "no" });
    fake.answer("/apis/apps/v1/deployments", 403, no);
    let run_diff = async |cluster: &Cluster, printer: &Printer| {
        let cli = Cli::try_parse_from(["x", "diff"]).expect("good flags");
        let Verb::Diff(args) = cli.verb else { panic!("not diff") };
        let settings = Settings::read(&args.choice, &cli.global).expect("good settings");
        diff::run(cluster, &args, settings, printer).await
    };
    // What is there already is found by its labels, what is not by its name.
    let diff_before = asked(&fake, async |cluster, printer| {
        assert_eq!(run_diff(cluster, printer).await, Ok(Outcome::Bad));
    });
    let install = asked(&fake, async |cluster, printer| {
        // A second time for what only an upgrade does.
        for _ in 0..2 {
            assert_eq!(run_install(cluster, printer, &[]).await, Ok(Outcome::Good));
        }
    });
    // Where something does not become ready, or an older version has left something.
    agree(Task::Install, &install, &UNUSED);

    let diff = asked(&fake, async |cluster, printer| {
        assert_eq!(run_diff(cluster, printer).await, Ok(Outcome::Good));
    });
    agree(Task::Diff, &(&diff_before | &diff), &["list replicasets", "list pods"]);
    let status = asked(&fake, async |cluster, _| {
        status::report(cluster).await.expect("a report");
    });
    agree(Task::Status, &status, &[]);
    let version = asked(&fake, async |cluster, _| {
        version::of(cluster).await.expect("versions");
    });
    agree(Task::Version, &version, &[]);
    let simulate = asked(&fake, async |cluster, printer| {
        let cli = Cli::try_parse_from(["x", "simulate"]).expect("good flags");
        let Verb::Simulate(args) = cli.verb else {
            panic!("not simulate")
        };
        // Nobody has published anything.
        simulate::of_cluster(cluster, &args, printer)
            .await
            .expect_err("no rate");
    });
    agree(Task::Simulate, &simulate, &[]);
    let check = asked(&fake, async |cluster, printer| {
        check::report(cluster, false, printer).await.expect("a report");
    });
    agree(Task::Check, &check, &[]);
    let explain = asked(&fake, async |cluster, printer| {
        let cli = Cli::try_parse_from(["x", "explain"]).expect("good flags");
        let Verb::Explain(args) = cli.verb else {
            panic!("not explain")
        };
        assert_eq!(explain::of_cluster(cluster, &args, printer).await, Ok(Outcome::Good));
    });
    agree(Task::Explain, &explain, &[]);
    let unenroll = asked(&fake, async |cluster, printer| {
        assert_eq!(
            run_verb(cluster, printer, &["unenroll", "cart"]).await,
            Ok(Outcome::Good)
        );
    });
    let enroll = asked(&fake, async |cluster, printer| {
        assert_eq!(run_verb(cluster, printer, &["enroll", "cart"]).await, Ok(Outcome::Good));
    });
    // They share one list.
    agree(Task::Enroll, &(&enroll | &unenroll), &ENROLS);
    // Policies and autoscalers went with the last service; a budget of memory has objects of its own.
    two_pods();
    asked(&fake, async |cluster, printer| {
        assert_eq!(
            run_install(cluster, printer, &["--budget=1792Mi"]).await,
            Ok(Outcome::Good)
        );
    });
    let uninstall = asked(&fake, async |cluster, printer| {
        let line = ["uninstall", "--unenroll", "--timeout=1s"];
        assert_eq!(run_verb(cluster, printer, &line).await, Ok(Outcome::Good));
    });
    agree(Task::Uninstall, &uninstall, &[]);
}

#[test]
fn verify_asks_for_what_is_in_its_list() {
    let fake = verify::tests::sound();
    let no = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "no" });
    fake.answer("/apis/apps/v1/deployments", 403, no);
    assert_eq!(verify::tests::verify(&fake, &["--disrupt"]).result, Ok(Outcome::Good));
    let scaled = verify::autoscaling::tests::sound();
    assert_eq!(
        verify::autoscaling::tests::verify(&scaled, &[]).result,
        Ok(Outcome::Good)
    );
    let asked = [fake.asked(), scaled.asked()].concat();
    let asked = asked.iter().filter_map(|request| access_of(request)).collect();
    // Its pods are made up, and so are the ways into them; this Kafka is no Deployment.
    let unused = [
        "list pods",
        "get pods/portforward",
        "get deployments",
        "patch deployments",
    ];
    agree(Task::Verify, &asked, &unused);
}

/// What was there already, when `enroll` came; or, of policies, was not, since nobody else was enrolled.
const ENROLS: [&str; 10] = [
    "get resiliencies",
    "patch resiliencies",
    "create secrets",
    "get secrets",
    "patch secrets",
    "patch configurations",
    "patch configmaps",
    "patch components",
    "create configurations",
    "create configmaps",
];
const UNUSED: [&str; 3] = ["list pods", "list replicasets", "delete "];

#[test]
fn the_grafana_of_somebody_else_takes_what_is_said() {
    let fake = Fake::sound();
    let env = json!([{ "name": "LABEL", "value": "grafana_dashboard" }]);
    fake.put(
        "/apis/apps/v1/namespaces/boards/deployments/main",
        json!({ "metadata": { "name": "main", "namespace": "boards", "labels": { "app.kubernetes.io/name": "grafana" } },
            "spec": { "template": { "spec": { "containers": [{ "name": "sidecar", "env": env }] } } } }),
    );
    let asked = asked(&fake, async |cluster, printer| {
        for _ in 0..2 {
            assert_eq!(run_install(cluster, printer, &[]).await, Ok(Outcome::Good));
        }
    });
    let shape = Shape {
        host: fake
            .run(async |cluster| cluster.host().await)
            .expect("a host")
            .expect("one"),
        ..Shape::default()
    };
    let plan = Plan::shaped(SHOP, &BTreeSet::new(), &shape).expect("a plan");
    let permissions = of(Task::Install, &plan, SHOP);
    let allowed = |access: &&Access| only_tried(access) || permissions.all().any(|have| covers(have, access));
    let missing: Vec<&Access> = asked.iter().filter(|access| !allowed(access)).collect();
    assert!(missing.is_empty(), "install also needs {missing:#?}");
    assert!(
        asked
            .iter()
            .any(|access| access.verb == "list" && access.namespace.as_deref() == Some("boards"))
    );
}

#[test]
fn a_missing_permission_is_named_before_anything_is_written() {
    let fake = Fake::sound();
    fake.refuse("patch deployments");
    let (printer, _, err) = captured();
    let ended = fake.run(async |cluster| run_install(cluster, &printer, &[]).await);
    assert!(ended.is_err());
    let said = err.text();
    assert!(
        said.contains("No permission to patch deployments.apps in namespace shop\n"),
        "{said}"
    );
    assert!(
        said.contains(
            "namespace learnflow-system: collector-gateway, grafana, kube-state-metrics, prometheus, traces\n"
        ),
        "{said}"
    );
    assert_eq!(fake.writes().iter().filter(|write| write.contains("PATCH")).count(), 0);
}
