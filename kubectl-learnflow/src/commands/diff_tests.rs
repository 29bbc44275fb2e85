use super::*;
use crate::{
    cli::{Cli, Verb},
    cluster::fake::{Fake, service_path},
    commands::install::tests::installed,
    printer::tests::captured,
};
use clap::Parser;

fn diff(fake: &Fake, arguments: &[&str]) -> (Result<Outcome, Problem>, String, String) {
    let cli = Cli::try_parse_from([&["x", "diff"], arguments].concat()).expect("good flags");
    let Verb::Diff(args) = cli.verb else { panic!("not diff") };
    let settings = Settings::read(&args.choice, &cli.global).expect("good settings");
    let (printer, out, err) = captured();
    let ended = fake.run(async |cluster| run(cluster, &args, settings, &printer).await);
    (ended, out.text(), err.text())
}

#[test]
fn after_an_installation_nothing_differs() {
    let fake = installed();
    let (ended, out, err) = diff(&fake, &[]);
    assert_eq!((ended, out.as_str()), (Ok(Outcome::Good), ""), "{err}");
    assert!(err.starts_with("√ No difference"), "{err}");
}

#[test]
fn before_one_everything_is_to_be_created() {
    let fake = Fake::sound();
    let (ended, out, err) = diff(&fake, &[]);
    assert_eq!(ended, Ok(Outcome::Bad), "{err}");
    assert!(
        out.starts_with(
            "+ Namespace learnflow-system\n+ Namespace learnflow-agents\n+ ConfigMap learnflow-system/learnflow\n"
        ),
        "{out}"
    );
    assert!(
        out.contains(
            "~ Deployment shop/cart\n    spec.template.metadata.annotations[dapr.io/config]:\n      + \"learnflow-"
        ),
        "{out}"
    );
    assert_eq!(fake.writes(), [""; 0]);
}

/// Written anew by `UPDATE_EXPECT=1`.
#[test]
fn a_difference_is_shown_field_by_field_in_every_format() {
    let fake = installed();
    let change = |path: &str, act: &dyn Fn(&mut Value)| {
        let mut object = fake.get(path).expect("an object");
        act(&mut object);
        fake.put(path, object);
    };
    change("/api/v1/namespaces/learnflow-system/configmaps/prometheus", &|map| {
        let text = map["data"]["prometheus.yml"].as_str().expect("text");
        map["data"]["prometheus.yml"] = json!(text.replace("scrape_interval: 5s", "scrape_interval: 1h"));
    });
    change(
        "/apis/apps/v1/namespaces/learnflow-system/deployments/prometheus",
        &|prometheus| {
            prometheus["spec"]["replicas"] = json!(3);
        },
    );
    change(&service_path("cart"), &|cart| {
        cart["spec"]["template"]["metadata"]["annotations"]["dapr.io/config"] = json!("evil\u{1b}[2J");
    });
    fake.remove("/api/v1/namespaces/learnflow-system/services/prometheus");
    let labels = json!({ "app.kubernetes.io/managed-by": crate::objects::MANAGER,
        crate::applyset::PART_OF: crate::applyset::id("shop") });
    let old = json!({ "metadata": { "name": "old", "namespace": "shop", "labels": labels } });
    fake.put("/api/v1/namespaces/shop/configmaps/old", old);

    let mut shown = String::new();
    for format in ["table", "name", "json"] {
        let (ended, out, err) = diff(&fake, &["-o", format]);
        assert_eq!(ended, Ok(Outcome::Bad), "{err}");
        shown.push_str(&format!("==> -o {format}\n{out}{err}"));
    }
    crate::testing::same_as_file("tests/cases/diff.expected.txt", &shown);
}

#[test]
fn fields_of_others_are_named_and_differ() {
    let fake = installed();
    let map = "/api/v1/namespaces/learnflow-system/configmaps/prometheus";
    let mut changed = fake.get(map).expect("a ConfigMap");
    changed["data"]["prometheus.yml"] = json!("theirs");
    fake.put(map, changed);
    fake.own(map, "argocd", ".data.prometheus.yml");
    let (ended, out, err) = diff(&fake, &[]);
    assert_eq!(ended, Ok(Outcome::Bad), "{err}");
    assert!(out.contains("belongs to argocd, who set it to \"theirs\""), "{out}");
    assert!(out.contains("      - theirs\n"), "{out}");
    assert!(err.contains("--force-conflicts"), "{err}");
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let fake = installed();
    let path = "/api/v1/namespaces/learnflow-system/configmaps/prometheus";
    fake.answer(
        path,
        422,
        json!({ "kind": "Status", "code": 422, "message": "not like this" }),
    );
    let (ended, out, err) = diff(&fake, &[]);
    assert!(ended.is_err() && out.is_empty(), "{out}{err}");
}

#[test]
fn secrets_stay_secret() {
    let object = ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: None,
        name: "s".into(),
    };
    let (before, after) = (
        json!({ "data": { "p": "old" }, "type": "a" }),
        json!({ "data": { "p": "new" }, "type": "b" }),
    );
    let shown = serde_json::to_string(&Entry::new(object, Action::Change, &before, &after)).expect("JSON");
    assert!(!shown.contains("old") && !shown.contains("new"), "{shown}");
    assert!(shown.contains("\"field\":\"type\""), "{shown}");
}
