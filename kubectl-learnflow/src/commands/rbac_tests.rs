use super::*;
use crate::{
    cli::{Install, Uninstall},
    cluster::fake::Fake,
    commands::{check, install, status, uninstall, version},
    model::Access,
    permissions::{access, granted, of, to},
    printer::tests::captured,
};
use std::time::Duration;

const SHOP: &str = "shop";
const SOON: Duration = Duration::from_secs(1);

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
    everywhere || stand_in
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

fn installed(fake: &Fake) -> BTreeSet<Access> {
    let args = Install {
        dry_run: false,
        exclude: Vec::new(),
        timeout: SOON,
    };
    asked(fake, async |cluster, printer| {
        assert_eq!(install::run(cluster, &args, printer).await, Ok(Outcome::Good));
    })
}

/// Nothing is asked for that is not in the list, and nothing is in the list that is never asked for.
#[track_caller]
fn agree(task: Task, asked: &BTreeSet<Access>, unused: &[Access]) {
    let permissions = of(task, &plan(), SHOP);
    for access in asked.iter().filter(|access| !only_tried(access)) {
        assert!(
            permissions.all().any(|have| covers(have, access)),
            "{task:?} also needs {access:?}"
        );
    }
    for have in &permissions.required {
        let used = asked.iter().any(|access| covers(have, access));
        // What is not there yet is created by the same request that would change it.
        let created = have.verb == "create"
            && asked.iter().any(|access| {
                access.verb == "patch" && access.resource == have.resource && access.namespace == have.namespace
            });
        assert!(
            used || created || unused.contains(have),
            "{task:?} does not need {have:?}"
        );
    }
}

#[test]
fn a_verb_does_exactly_what_it_says_it_may() {
    let fake = Fake::sound();
    // Who may not look everywhere looks where Dapr usually is.
    let no = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no" });
    fake.answer("/apis/apps/v1/deployments", 403, no);
    // Only when something does not become ready; and what is given to our own service accounts.
    let mut unused: Vec<Access> = plan().all().flat_map(granted).collect();
    unused.extend(to("list", "", "pods", Some(STACK_NAMESPACE)));
    agree(Task::Install, &installed(&fake), &unused);

    let status = asked(&fake, async |cluster, _| {
        status::report(cluster).await.expect("a report");
    });
    agree(Task::Status, &status, &[]);
    let version = asked(&fake, async |cluster, _| {
        version::of(cluster).await.expect("versions");
    });
    agree(Task::Version, &version, &[]);
    let check = asked(&fake, async |cluster, printer| {
        check::report(cluster, false, printer).await.expect("a report");
    });
    agree(Task::Check, &check, &[]);
    let args = Uninstall {
        dry_run: false,
        timeout: SOON,
    };
    let uninstall = asked(&fake, async |cluster, printer| {
        assert_eq!(uninstall::run(cluster, &args, printer).await, Ok(Outcome::Good));
    });
    agree(Task::Uninstall, &uninstall, &[]);
}

#[test]
fn a_missing_permission_is_named_before_anything_is_written() {
    let fake = Fake::sound();
    fake.refuse("patch deployments");
    let args = Install {
        dry_run: false,
        exclude: Vec::new(),
        timeout: SOON,
    };
    let (printer, _, err) = captured();
    let ended = fake.run(async |cluster| install::run(cluster, &args, &printer).await);
    assert!(ended.is_err());
    let said = err.text();
    assert!(
        said.contains("No permission to patch deployments.apps in namespace shop\n"),
        "{said}"
    );
    assert!(
        said.contains("namespace learnflow-system: collector-gateway, prometheus\n"),
        "{said}"
    );
    assert_eq!(fake.writes().iter().filter(|write| write.contains("PATCH")).count(), 0);
}
