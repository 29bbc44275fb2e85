//! Where else our own Prometheus sends what it scrapes: to a store that keeps it for longer.

use crate::{config, objects::Object};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

/// A Prometheus that takes remote writes, Mimir, Thanos Receive, VictoriaMetrics, a cloud's …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteWrite {
    /// Where to, for example https://mimir.example.com/api/v1/push.
    #[serde(deserialize_with = "url_of")]
    #[cfg_attr(test, schemars(regex(pattern = r"^https?://[^/@?#]+(/.*)?$")))]
    pub(crate) url: String,
    /// The Secret in namespace learnflow-system with the keys `username` and `password` to write with.
    #[serde(default, deserialize_with = "config::name_of")]
    pub(crate) secret: Option<String>,
}

fn url_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    url(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{text}` is not a URL to write to; {why}"));
    let example = "write for example https://mimir.example.com/api/v1/push";
    let Ok(parsed) = text.parse::<http::Uri>() else {
        return wrong(example);
    };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
        return wrong(example);
    }
    if parsed
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        // What is said is shown on a terminal, and kept.
        return Err("a URL to write to has no user in it; put `username` and `password` into a Secret".into());
    }
    let has_port = parsed
        .authority()
        .is_some_and(|authority| authority.as_str() != authority.host());
    if has_port && parsed.port_u16().is_none_or(|port| port == 0) {
        return wrong("a port is a number from 1 to 65535");
    }
    if parsed.path().trim_matches('/').is_empty() {
        return wrong("it needs the path of the receiver, for example /api/v1/push or /api/v1/write");
    }
    Ok(text.to_owned())
}

/// Where the Secret is in the container.
const FOLDER: &str = "/etc/prometheus-remote-write";

impl RemoteWrite {
    fn port(&self) -> u16 {
        let parsed = self.url.parse::<http::Uri>().unwrap_or_default();
        let of_scheme = if parsed.scheme_str() == Some("http") { 80 } else { 443 };
        parsed.port_u16().unwrap_or(of_scheme)
    }

    /// What of an object depends on it.
    pub(crate) fn apply(&self, object: &mut Object) {
        match (object.kind(), object.name()) {
            ("ConfigMap", "prometheus") => self.configure(object),
            ("Deployment", "prometheus") => self.mount(object),
            ("NetworkPolicy", "prometheus") => self.open(object),
            _ => {}
        }
    }

    /// At the end of its file: all else stays as it is, comments too.
    fn configure(&self, object: &mut Object) {
        let Some(Value::String(text)) = object.edit().pointer_mut("/data/prometheus.yml") else {
            return;
        };
        // As the Prometheus Operator calls them: stores take two that say the same for one by these.
        *text = text.replacen(
            "global:\n",
            "global:\n  external_labels:\n    prometheus: learnflow-system/prometheus\n    prometheus_replica: ${REPLICA}\n",
            1,
        );
        text.push_str(
            "\n# A copy of everything, to be kept elsewhere. While that is away, it is sent later.\nremote_write:\n",
        );
        text.push_str(&format!("  - url: {}\n", json!(self.url)));
        if self.secret.is_some() {
            text.push_str(&format!(
                "    basic_auth:\n      username_file: {FOLDER}/username\n      password_file: {FOLDER}/password\n"
            ));
        }
    }

    /// Optional: a Secret that comes later must not keep Prometheus from scraping. Until then all waits.
    fn mount(&self, object: &mut Object) {
        let Some(secret) = &self.secret else { return };
        let volume = "remote-write";
        let pod = object.edit().pointer_mut("/spec/template/spec");
        let Some(pod) = pod else { return };
        let mut push = |pointer: &str, value: Value| {
            if let Some(Value::Array(list)) = pod.pointer_mut(pointer) {
                list.push(value);
            }
        };
        let mount = json!({ "name": volume, "mountPath": FOLDER, "readOnly": true });
        push("/containers/0/volumeMounts", mount);
        let source = json!({ "secretName": secret, "optional": true });
        push("/volumes", json!({ "name": volume, "secret": source }));
    }

    /// Names, and the port; the address is whatever the name means.
    fn open(&self, object: &mut Object) {
        let to = |protocol: &str, port: u16| json!({ "protocol": protocol, "port": port });
        let names = [to("UDP", 53), to("TCP", 53), to("UDP", 5353), to("TCP", 5353)];
        if let Some(Value::Array(egress)) = object.edit().pointer_mut("/spec/egress") {
            egress.push(json!({ "ports": names }));
            egress.push(json!({ "ports": [to("TCP", self.port())] }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{objects::Plan, patches::Shape};
    use std::collections::BTreeSet;

    fn plan(secret: Option<&str>) -> Plan {
        let remote_write = RemoteWrite {
            url: "https://mimir.example.com:8443/api/v1/push".into(),
            secret: secret.map(str::to_owned),
        };
        let shape = Shape {
            remote_write: Some(remote_write),
            ..Shape::default()
        };
        Plan::shaped("shop", &BTreeSet::new(), &shape).expect("a plan")
    }

    fn of(plan: &Plan, kind: &str) -> Value {
        let is_it = |object: &&Object| object.kind() == kind && object.name() == "prometheus";
        plan.stack.iter().find(is_it).expect(kind).value().clone()
    }

    #[test]
    fn it_is_sent_with_what_the_secret_says() {
        let plan = plan(Some("mimir"));
        let config = of(&plan, "ConfigMap")["data"]["prometheus.yml"]
            .as_str()
            .expect("a file")
            .to_owned();
        let config: Value = serde_saphyr::from_str(&config).expect("YAML");
        let write = &config["remote_write"][0];
        assert_eq!(write["url"], "https://mimir.example.com:8443/api/v1/push");
        assert_eq!(
            write["basic_auth"]["password_file"],
            "/etc/prometheus-remote-write/password"
        );
        let pod = of(&plan, "Deployment")["spec"]["template"]["spec"].clone();
        let volumes = pod["volumes"].as_array().expect("volumes");
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == "remote-write")
            .expect("a volume");
        assert_eq!(volume["secret"], json!({ "secretName": "mimir", "optional": true }));
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
        assert!(mounts.iter().any(|mount| mount["mountPath"] == FOLDER));
        let egress = of(&plan, "NetworkPolicy")["spec"]["egress"].to_string();
        assert!(egress.contains("{\"port\":8443,\"protocol\":\"TCP\"}"), "{egress}");
    }

    /// Written anew by `UPDATE_EXPECT=1`. Two real Prometheus prove it: tests/stack/remote_write.rs.
    #[test]
    fn it_is_written_as_it_was() {
        let config = of(&plan(Some("mimir")), "ConfigMap")["data"]["prometheus.yml"].clone();
        let (_, section) = config
            .as_str()
            .and_then(|text| text.split_once("remote_write:"))
            .expect("a section");
        crate::testing::same_as_file("tests/cases/remote-write.yaml", &format!("remote_write:{section}"));
    }

    #[test]
    fn without_a_secret_nothing_is_mounted() {
        let plan = plan(None);
        assert!(!of(&plan, "Deployment").to_string().contains("remote-write"));
        assert!(!of(&plan, "ConfigMap").to_string().contains("basic_auth"));
    }

    #[test]
    fn ports_are_those_of_the_scheme() {
        let port = |url: &str| {
            RemoteWrite {
                url: url.into(),
                secret: None,
            }
            .port()
        };
        assert_eq!(port("https://a.example.com/write"), 443);
        assert_eq!(port("http://a.example.com/write"), 80);
        assert_eq!(port("http://a.example.com:9009/write"), 9009);
    }
}
