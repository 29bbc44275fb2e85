use super::*;
use crate::model::Setting;

fn plan() -> Plan {
    Plan::new("shop", &["cart".to_owned()].into()).expect("the plugin's own manifests")
}

fn set(value: &str, owner: &str) -> Option<Setting> {
    Some(Setting {
        value: value.into(),
        owners: vec![owner.into()],
    })
}

fn cart() -> Service {
    Service {
        name: "cart".into(),
        app_id: Some("cart".into()),
        ..Service::default()
    }
}

fn theirs(spec: Value) -> Vec<Configuration> {
    vec![Configuration {
        name: "appconfig".into(),
        ours: false,
        spec,
    }]
}

fn entry(service: Service, known: &[Configuration], quiet: bool) -> Entry {
    Enrolments::new(&plan(), &[service], known, quiet).entries.remove(0)
}

/// The service as it is once it carries what it is to carry.
fn enrolled(entry: &Entry) -> Service {
    let enrolment = entry.enrolment.clone();
    Service {
        config: set(&enrolment.config, MANAGER),
        mounts: set(&enrolment.mounts, MANAGER),
        guest: Some(enrolment.guest),
        revision: Some(enrolment.revision),
        before: enrolment.before,
        enrolled: true,
        ..entry.service.clone()
    }
}

#[test]
fn an_enrolment_owns_only_what_it_needs() {
    let entry = entry(cart(), &[], true);
    let wanted = &entry.enrolment;
    let patch = wanted.patch("shop", &entry.service);
    assert_eq!(
        patch["spec"],
        json!({ "template": {
            "metadata": { "annotations": {
                "dapr.io/config": wanted.config,
                "dapr.io/volume-mounts": "learnflow-wasm:/learnflow",
                "learnflow.dev/guest": wanted.revision,
            }},
            "spec": { "volumes": [
                { "name": "learnflow-wasm", "configMap": { "name": wanted.guest, "optional": true } },
            ]},
        }}),
        "above all no replicas"
    );
    let restarted = Service {
        restarted: Some("17".into()),
        ..cart()
    };
    let annotations = &wanted.patch("shop", &restarted)["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations[RESTARTED], "17", "kept, or the pods would roll again");
    assert!(entry.replaces().is_empty() && !entry.is_done());
    assert!(self::entry(enrolled(&entry), &[], true).is_done());
}

#[test]
fn the_revision_follows_what_sidecars_read_at_their_start() {
    let other = Plan::new("shop", &["cart".to_owned(), "zoo".to_owned()].into()).expect("a plan");
    let same = Enrolments::new(&other, &[cart()], &[], true).entries.remove(0);
    let first = entry(cart(), &[], true).enrolment;
    assert_eq!(
        first.revision, same.enrolment.revision,
        "another service is no reason to roll"
    );
    let mut newer = plan();
    newer.guest = newer.guest.renamed("learnflow-wasm-newer".into());
    let newer = Enrolments::new(&newer, &[cart()], &[], true)
        .entries
        .remove(0)
        .enrolment;
    assert_ne!(first.revision, newer.revision);
    assert_eq!(
        first.config, newer.config,
        "a new guest is no reason for a new Configuration"
    );
}

#[test]
fn ours_is_merged_into_theirs() {
    let handler = |name: &str| json!({ "name": name, "type": "middleware.http.x" });
    let spec = json!({
        "httpPipeline": { "handlers": [handler("auth"), handler("alias")] },
        "accessControl": { "defaultAction": "deny" },
        "tracing": { "samplingRate": "0.5", "zipkin": { "endpointAddress": "http://zipkin" } },
        "metric": { "enabled": false, "rules": [] },
        "features": [{ "name": "HotReload", "enabled": true }, { "name": "Other", "enabled": true }],
    });
    let service = Service {
        config: set("appconfig", "kubectl-edit"),
        ..cart()
    };
    let known = theirs(spec);
    let entry = entry(service, &known, false);
    assert!(entry.enrolment.config.starts_with("learnflow-appconfig-"));
    assert_eq!(entry.spans_elsewhere, None);
    let merged = &entry.configuration.value()["spec"];
    let names = |pipeline: &str| {
        let handlers = list(merged, &format!("/{pipeline}/handlers"));
        handlers
            .iter()
            .map(|handler| handler["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("httpPipeline"), ["auth", "alias", "learnflow"]);
    assert_eq!(names("appHttpPipeline"), ["learnflow"]);
    assert_eq!(merged["accessControl"]["defaultAction"], "deny");
    assert_eq!(merged["tracing"]["samplingRate"], "0.5");
    assert!(merged["tracing"]["zipkin"].is_object() && merged["tracing"]["otel"].is_object());
    assert_eq!(merged["metric"], json!({ "enabled": true, "rules": [] }));
    assert_eq!(
        merged["features"],
        json!([{ "name": "Other", "enabled": true }, { "name": "HotReload", "enabled": false }])
    );
    assert_eq!(
        super::merged(merged, &plan().configuration.value()["spec"]),
        *merged,
        "once is enough"
    );
}

#[test]
fn an_exporter_of_their_own_stays() {
    let otel = json!({ "endpointAddress": "tempo:4317", "isSecure": false, "protocol": "grpc" });
    let service = Service {
        config: set("appconfig", "kubectl-edit"),
        ..cart()
    };
    let known = theirs(json!({ "tracing": { "samplingRate": "0.1", "otel": otel } }));
    let entry = entry(service, &known, false);
    assert_eq!(entry.spans_elsewhere.as_deref(), Some("tempo:4317"));
    assert_eq!(entry.configuration.value()["spec"]["tracing"]["otel"], otel);
}

#[test]
fn a_quiet_configuration_waits_for_a_secret_of_its_own() {
    let loud = entry(cart(), &[], false);
    assert!(loud.secret.is_none());
    let quiet = entry(cart(), &[], true);
    assert_ne!(
        loud.configuration.name(),
        quiet.configuration.name(),
        "they differ in what they hold"
    );
    let secret = quiet.secret.expect("a Secret");
    let name = quiet.configuration.name();
    assert_eq!(secret.name(), name);
    let headers = list(quiet.configuration.value(), "/spec/tracing/otel/headers");
    assert_eq!(
        headers,
        [json!({ "name": "learnflow", "secretKeyRef": { "name": name, "key": "source" } })]
    );
    assert!(secret.value()["data"]["source"].is_string());
    let used = in_use(
        "shop",
        &[enrolled(&entry(cart(), &[], true))],
        &[Configuration {
            name: name.into(),
            ours: true,
            spec: quiet.configuration.value()["spec"].clone(),
        }],
    );
    let kinds: Vec<&str> = used.iter().map(|object| object.kind.as_str()).collect();
    assert_eq!(kinds, ["Configuration", "ConfigMap", "Secret"]);
}

#[test]
fn what_was_there_is_remembered_and_put_back_in_its_owners_name() {
    let service = Service {
        config: set("appconfig", "helm"),
        mounts: set("certs:/certs, keys:/keys", "helm"),
        ..cart()
    };
    let known = theirs(json!({}));
    let first = entry(service, &known, true);
    assert_eq!(first.replaces().len(), 2);
    assert_eq!(
        first.enrolment.mounts,
        "certs:/certs, keys:/keys,learnflow-wasm:/learnflow"
    );
    let service = enrolled(&first);
    assert!(
        entry(service.clone(), &known, true).is_done(),
        "enrolling again takes nothing for theirs"
    );
    let Release::Restore { manager, patch } = Release::of("shop", &service) else {
        panic!("there is something to put back");
    };
    assert_eq!(manager, "helm");
    assert_eq!(
        patch["spec"]["template"],
        json!({
            "metadata": { "annotations": {
                "dapr.io/config": "appconfig",
                "dapr.io/volume-mounts": "certs:/certs, keys:/keys",
                "learnflow.dev/guest": null, "learnflow.dev/before": null, "learnflow.dev/restarted": null,
            }},
            "spec": { "volumes": [{ "name": "learnflow-wasm", "$patch": "delete" }] },
        })
    );
    let changed = Service {
        config: set("newer", "helm"),
        ..service
    };
    let Release::Restore { patch, .. } = Release::of("shop", &changed) else {
        panic!("the mounts are still ours");
    };
    let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(
        annotations.get("dapr.io/config"),
        None,
        "what somebody has set since is theirs"
    );
    assert_eq!(before(&changed).config.as_deref(), Some("newer"));
}

#[test]
fn where_nothing_was_our_fields_are_withdrawn() {
    let service = enrolled(&entry(cart(), &[], true));
    let Release::Withdraw(patch) = Release::of("shop", &service) else {
        panic!("nothing to put back");
    };
    assert_eq!(
        patch.as_object().map(Map::len),
        Some(3),
        "apiVersion, kind and metadata; no field to own"
    );
}

#[test]
fn a_name_is_never_too_long() {
    let long = "x".repeat(253);
    assert!(named(plan().configuration, Some(&long)).name().len() <= 253);
}
