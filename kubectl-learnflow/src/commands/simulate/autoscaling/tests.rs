use super::*;
use crate::{
    cli::{Cli, Verb, What},
    cluster::fake::Fake,
    printer::tests::captured,
    testing::same_as_file,
};
use clap::Parser;
use serde_json::{Value, json};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/autoscaling");
const DAY: &str = "0=200m,2m=1500m,10m=1500m,12m=200m";

fn arguments(line: &[&str]) -> (SimulateAutoscaling, Global) {
    let cli = Cli::try_parse_from([&["x", "simulate", "autoscaling"], line].concat()).expect("good flags");
    match cli.verb {
        Verb::Simulate(simulate) => match simulate.what {
            Some(What::Autoscaling(args)) => (*args, cli.global),
            None => panic!("an outage"),
        },
        _ => panic!("another verb"),
    }
}

/// Without a cluster: how it ended, and what it printed.
fn simulated(line: &[&str]) -> (Result<Outcome, Problem>, String, String) {
    let (printer, out, err) = captured();
    let (args, global) = arguments(line);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let ended = runtime.block_on(run(&args, &global, &printer));
    (ended, out.text(), err.text())
}

fn file(name: &str) -> String {
    format!("{CASES}/{name}")
}

#[test]
fn what_is_printed() {
    let service = file("service.yaml");
    for (name, line, outcome) in [
        (
            "shipped",
            &[
                "frontend",
                "--shipped",
                "--request=200m",
                "--capacity=500m",
                "--load=0=100m,1m=400m,6m=100m",
            ][..],
            Outcome::Good,
        ),
        ("too-few", &["-f", &service, "--load", DAY], Outcome::Bad),
        ("fit", &["-f", &service, "--load", DAY, "--fit"], Outcome::Good),
        (
            "consumer",
            &[
                "-f",
                &file("consumer.yaml"),
                "--arrivals=0=20/s,2m=300/s,8m=300/s,9m=20/s",
                "--drain=60/s",
                "--partitions=6",
            ],
            Outcome::Bad,
        ),
    ] {
        let (ended, out, err) = simulated(line);
        assert_eq!(ended, Ok(outcome), "{name}: {err}{out}");
        assert_eq!(err, "");
        same_as_file(&format!("tests/cases/autoscaling/{name}.txt"), &out);
    }
}

#[test]
fn what_is_proposed_can_be_simulated_and_holds() {
    let line = ["-f", &file("service.yaml"), "--load", DAY, "--fit", "-o", "yaml"];
    let (ended, yaml, err) = simulated(&line);
    assert_eq!(ended, Ok(Outcome::Good), "{err}");
    let proposal = std::env::temp_dir().join(format!("learnflow-hpa-{}.yaml", std::process::id()));
    std::fs::write(&proposal, &yaml).expect("written");
    let path = proposal.to_string_lossy().into_owned();
    let flags = [
        "-f",
        &path,
        "--request=250m",
        "--capacity=500m",
        "--load",
        DAY,
        "--seed=77",
    ];
    let (ended, out, err) = simulated(&flags);
    std::fs::remove_file(&proposal).expect("removed");
    assert_eq!(ended, Ok(Outcome::Good), "{yaml}{out}{err}");
}

#[test]
fn the_same_seed_prints_the_same_and_json_says_all() {
    let line = [
        "-f",
        &file("service.yaml"),
        "--load",
        DAY,
        "-o",
        "json",
        "--seed=3",
        "--runs=3",
    ];
    let (ended, first, _) = simulated(&line);
    assert_eq!(ended, Ok(Outcome::Bad));
    assert_eq!(simulated(&line).1, first);
    let said: Value = serde_json::from_str(&first).expect("JSON");
    let timeline = said["run"]["timeline"].as_array().expect("a timeline");
    assert!(timeline.len() >= 27 * 60);
    let pods: f64 = timeline.iter().filter_map(|point| point["desired"].as_f64()).sum();
    let hours = said["run"]["podHours"].as_f64().expect("hours");
    assert!((pods / 3600.0 - hours).abs() < 0.01, "{pods} {hours}");
    assert_eq!(said["holds"], false);
}

#[test]
fn what_is_wrong_is_named() {
    let service = file("service.yaml");
    for (line, what) in [
        (
            &["-f", &service, "--load=0=fast"][..],
            "--load: `0=fast`: `fast` is not CPU",
        ),
        (&["-f", &service, "--load=nowhere.csv"], "Cannot read nowhere.csv"),
        (
            &["-f", &service, "--arrivals=0=5/s", "--drain=1/s"],
            "Nothing is known of what the autoscaler looks at: metric cpu",
        ),
        (
            &["cart", "-f", &service, "--load", DAY],
            "There is no autoscaler of cart, or several.",
        ),
        (&["--shipped", "--load", DAY], "There are several autoscalers."),
        (
            &["frontend", "--shipped", "--load", DAY],
            "What a pod of Deployment frontend requests of cpu is not known, so that a share of it means nothing.",
        ),
        (
            &["-f", &file("wrong.yaml"), "--load", DAY],
            "spec.behavior.scaleDown.policies[0].periodSeconds: 7200 is not",
        ),
        (
            &["-f", &file("sidecar.yaml"), "--load", DAY],
            "The sidecar daprd of Deployment web requests no cpu",
        ),
        (
            &["-f", &service, "--load", DAY, "-o", "yaml"],
            "-o yaml prints what --fit proposes.",
        ),
        (
            &["-f", &service, "--load", DAY, "--capacity=0"],
            "--capacity 0 is a pod that can do nothing.",
        ),
    ] {
        let (ended, out, _) = simulated(line);
        let problem = ended.expect_err(what);
        assert!(problem.what.contains(what), "{}", problem.what);
        assert!(problem.next.is_some(), "{what}");
        assert_eq!(out, "");
    }
}

#[test]
fn all_that_is_wrong_of_one_object_is_said_at_once() {
    let (ended, _, err) = simulated(&["-f", &file("wrong.yaml"), "--load", DAY]);
    assert!(ended.is_err());
    assert!(
        err.contains("HorizontalPodAutoscaler web, spec.maxReplicas: 2 is less than minReplicas, which is 3."),
        "{err}"
    );
}

#[test]
fn the_autoscaler_of_the_cluster_with_its_requests() {
    let fake = Fake::sound();
    let path = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart";
    let metric = json!({ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "web",
        "target": { "type": "Utilization", "averageUtilization": 50 } } });
    let spec = json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart" },
        "minReplicas": 1, "maxReplicas": 20, "metrics": [metric] });
    fake.put(
        path,
        json!({ "metadata": { "name": "cart", "namespace": "shop" }, "spec": spec }),
    );
    let resources = json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "300m" } });
    let web = json!([{ "name": "web", "resources": resources }]);
    let cart = "/apis/apps/v1/namespaces/shop/deployments/cart";
    fake.change(
        cart,
        &json!({ "spec": { "template": { "spec": { "containers": web } } } }),
    );
    let (printer, out, err) = captured();
    let (args, _) = arguments(&["cart", "--load=0=50m,1m=500m,8m=50m", "--runs=3"]);
    let ended = fake.run(async |cluster| {
        let question = question::of_cluster(cluster, &args, question::load(&args)?, &printer).await?;
        answer(&args, question, &printer)
    });
    assert_eq!(ended, Ok(Outcome::Good), "{}{}", out.text(), err.text());
    assert!(
        out.text()
            .starts_with("Deployment cart, 1 to 20 pods: cpu of container web at 50 % of 100m\n"),
        "{}",
        out.text()
    );
    assert!(out.text().contains("a pod can do 300m"), "{}", out.text());
    assert!(fake.all_writes().is_empty());
}
