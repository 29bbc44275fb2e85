//! The shipped configurations, judged by the programs that read them.

use std::{fs, process::Command};

use learnflow_tests::process::Folder;

use crate::{
    gateway, parts, prometheus,
    shipped::{self, replace},
};

/// Runs a program to its end; what it said, and whether it was content.
pub fn judge(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn collector(configs: &[&str]) -> (bool, String) {
    let folder = Folder::new().expect("a folder");
    let mut command = Command::new(parts().file("collector", "collector"));
    command.arg("validate");
    for (n, config) in configs.iter().enumerate() {
        let file = folder.path().join(format!("{n}.yaml"));
        fs::write(&file, config).expect("a file");
        command.arg(format!("--config={}", file.display()));
    }
    judge(&mut command)
}

#[test]
fn the_gateways_configuration_is_valid_in_each_profile() {
    let gateway = gateway::config([1, 2, 3, 4, 5]);
    let pods = shipped::config(gateway::SPANS_MANIFEST, "config.yaml");
    let spans = shipped::config(gateway::MANIFEST, "spans.yaml");
    let balance = shipped::config(gateway::MANIFEST, "balance.yaml");
    for (about_spans, rest, word) in [
        (&spans, &gateway, "max_streams"),
        (&balance, &gateway, "loadbalancing"),
        (&spans, &pods, "decision_wait"),
    ] {
        let (valid, said) = collector(&[about_spans, rest]);
        assert!(valid, "{said}");
        let wrong = word.replace('i', "ii").replace("ms", "mms");
        let broken = [about_spans, rest].map(|text| text.replace(word, &wrong));
        let (valid, said) = collector(&broken.each_ref().map(String::as_str));
        assert!(!valid && said.contains(&wrong), "a wrong one is refused: {said}");
    }
}

#[test]
fn the_agents_configuration_is_valid() {
    let checkpoints = Folder::new().expect("a folder");
    let checkpoints_path = checkpoints.path().display().to_string();
    let config = shipped::config("collector/agent.yaml", "config.yaml");
    let config = replace(&config, &[("/var/lib/learnflow/collector", checkpoints_path)]);
    let (valid, said) = collector(&[&config]);
    assert!(valid, "{said}");
    let (valid, said) = collector(&[&replace(&config, &[("poll_interval", "pol_interval".into())])]);
    assert!(
        !valid && said.contains("pol_interval"),
        "a wrong one is refused: {said}"
    );
}

#[test]
fn the_trace_stores_configuration_is_valid_in_memory_and_on_a_volume() {
    let folder = Folder::new().expect("a folder");
    let rest = shipped::config("tracing/traces.yaml", "config.yaml");
    let valid = |store: &str, rest: &str| {
        let mut command = Command::new(parts().file("jaeger", "jaeger"));
        command.arg("validate");
        for (name, text) in [("store.yaml", store), ("rest.yaml", rest)] {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("a file");
            command.arg(format!("--config={}", file.display()));
        }
        judge(&mut command)
    };
    for name in ["memory.yaml", "badger.yaml"] {
        let store = shipped::config("tracing/traces.yaml", name);
        let (holds, said) = valid(&store, &rest);
        assert!(holds, "{name}: {said}");
        let (holds, said) = valid(&store, &replace(&rest, &[("trace_storage", "trace_store".into())]));
        assert!(!holds && said.contains("trace_store"), "a wrong one is refused: {said}");
    }
}

#[test]
fn prometheus_configuration_is_valid() {
    let folder = Folder::new().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    let check = |text: &str| {
        fs::write(&file, text).expect("a file");
        let promtool = parts().file("prometheus", "promtool");
        judge(
            Command::new(promtool)
                .args(["check", "config", "--lint=all", "--lint-fatal"])
                .arg(&file),
        )
    };
    // As it is shipped, cluster and all, and as the other tests here use it, with the rules.
    let shipped = shipped::config(prometheus::MANIFEST, "prometheus.yml");
    // It is looked for.
    let token = folder.path().join("token");
    fs::write(&token, "").expect("a file");
    let mounted = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let (valid, said) = check(&replace(&shipped, &[(mounted, token.display().to_string())]));
    assert!(valid, "{said}");
    // What is to be added to somebody else's.
    let (valid, said) = check(include_str!("../cases/scrape-config.yaml"));
    assert!(valid, "{said}");
    let (valid, said) = check(&prometheus::config(1, 2, 3).to_string());
    assert!(valid && said.contains("rules found"), "{said}");
}
