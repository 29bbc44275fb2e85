use super::*;
use crate::{cluster::fake::Fake, commands::install::tests::installed, printer::tests::captured};
use serde_json::json;

pub(crate) fn uninstall(
    fake: &Fake,
    change: impl FnOnce(&mut Uninstall),
) -> (Result<Outcome, Problem>, String, String) {
    let (printer, out, err) = captured();
    let mut args = Uninstall {
        unenroll: true,
        delete_data: false,
        dry_run: false,
        file: None,
        timeout: Duration::from_secs(1),
    };
    change(&mut args);
    let ended = fake.run(async |cluster| run(std::slice::from_ref(cluster), &args, &printer).await);
    (ended, out.text(), err.text())
}

/// All goes, the services let go first, and nothing of ours is left anywhere.
pub(crate) fn uninstall_leaves_nothing(fake: &Fake) {
    let (ended, _, said) = uninstall(fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{said}");
    let mut left = fake.paths();
    left.retain(|path| path.contains("learnflow"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn while_services_are_enrolled_it_is_refused() {
    let fake = installed();
    let before = fake.writes();
    let (ended, ..) = uninstall(&fake, |args| args.unenroll = false);
    let problem = ended.expect_err("refused");
    assert_eq!(problem.what, "cart is enrolled; nothing was removed.");
    assert!(problem.next.is_some_and(|next| next.contains("--unenroll")));
    assert_eq!(fake.writes(), before);
}

#[test]
fn data_stays_unless_it_is_asked_for() {
    let fake = installed();
    let claim = "/api/v1/namespaces/learnflow-system/persistentvolumeclaims/prometheus";
    let ours = json!({ "metadata": { "name": "prometheus", "labels": { "app.kubernetes.io/managed-by": MANAGER } } });
    fake.put(claim, ours);
    let (ended, _, err) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    assert!(
        err.contains("learnflow-system stays, with its data: PersistentVolumeClaim"),
        "{err}"
    );
    assert!(fake.get(claim).is_some());
    let (ended, _, err) = uninstall(&fake, |args| args.delete_data = true);
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    assert!(fake.get(claim).is_none());
}

#[test]
fn services_are_released_before_anything_goes_and_nothing_stays() {
    let fake = installed();
    let before = fake.writes().len();
    let (ended, _, err) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    let writes = &fake.writes()[before..];
    let position = |part: &str| writes.iter().position(|w| w.contains(part)).expect(part);
    let order = [
        // While its sidecars do not restart for it.
        "DELETE /apis/dapr.io/v1alpha1/namespaces/shop/resiliencies/learnflow",
        "PATCH /apis/apps/v1/namespaces/shop/deployments/cart",
        "components/",
        "configurations/learnflow-",
        "configmaps/learnflow-wasm-",
    ];
    assert!(order.iter().map(|part| position(part)).is_sorted(), "{writes:#?}");
    assert!(
        writes
            .last()
            .is_some_and(|last| last == "DELETE /api/v1/namespaces/learnflow-agents")
    );

    let (again, _, err) = uninstall(&fake, |_| {});
    assert_eq!(again, Ok(Outcome::Good));
    assert_eq!(err, "√ Nothing is installed for namespace shop\n");
}

#[test]
fn what_is_not_ours_stays() {
    let fake = installed();
    let theirs = "/api/v1/namespaces/learnflow-system/configmaps/prometheus";
    fake.put(theirs, json!({ "metadata": { "name": "prometheus", "labels": {} } }));
    let (ended, _, err) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    assert!(fake.get(theirs).is_some());
}

#[test]
fn the_stack_stays_while_another_namespace_needs_it() {
    let fake = installed();
    let ours = json!({ "metadata": {
        "name": "learnflow", "namespace": "other", "labels": { "app.kubernetes.io/managed-by": MANAGER },
    }});
    fake.put("/apis/dapr.io/v1alpha1/namespaces/other/components/learnflow", ours);
    let (ended, _, err) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    assert!(err.contains("learnflow-system stays: namespace other uses it"), "{err}");
    assert!(fake.get("/api/v1/namespaces/learnflow-system").is_some());
}

#[test]
fn a_dry_run_lists_and_deletes_nothing() {
    let fake = installed();
    let before = fake.writes();
    let (ended, out, _) = uninstall(&fake, |args| args.dry_run = true);
    assert_eq!(ended, Ok(Outcome::Good));
    assert!(
        out.starts_with(
            "delete Resiliency shop/learnflow\ndelete Deployment shop/collector-kafka\n\
             delete NetworkPolicy shop/collector-kafka\ndelete Secret shop/collector-kafka\n\
             delete ConfigMap shop/collector-kafka\nrelease and roll Deployment shop/cart\n\
             delete Component shop/learnflow\n"
        ),
        "{out}"
    );
    assert!(
        out.ends_with("delete Namespace learnflow-system\ndelete Namespace learnflow-agents\n"),
        "{out}"
    );
    assert_eq!(fake.writes(), before);
}
