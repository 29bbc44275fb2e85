//! The effective settings as a `learnflow.yaml`: it can be kept, and gives the same again.

use super::{Entry, Setting, Settings, Source};
use crate::{
    budget::{Fit, Load},
    config::Share,
    remote_write::RemoteWrite,
};
use std::fmt::Display;

impl Settings {
    /// With what a budget has become, where there is one.
    pub(crate) fn to_yaml(&self, fit: Option<&Fit>) -> String {
        let mut page = Page(String::from(
            "# What `kubectl learnflow install` uses here, and where each value comes from.\n",
        ));
        page.list("namespaces", &self.namespaces);
        match self.services.value.as_slice() {
            [] => page.line("services: []", &self.services.from),
            services => {
                page.line("services:", &self.services.from);
                services.iter().for_each(|service| page.service(service));
            }
        }
        page.list("exclude", &self.exclude);
        page.maybe("pubsub", &self.pubsub, |name| scalar(name));
        let only: Vec<String> = self.concerns.value.iter().map(|concern| concern.to_string()).collect();
        let only = format!("only: [{}]", only.join(", "));
        page.line(&only, &self.concerns.from);
        page.maybe("prometheus", &self.prometheus, |which| scalar(&which.to_string()));
        if let Some(RemoteWrite { url, secret }) = &self.remote_write.value {
            page.line("remoteWrite:", &self.remote_write.from);
            page.0.push_str(&format!("  url: {}\n", scalar(url)));
            if let Some(secret) = secret {
                page.0.push_str(&format!("  secret: {}\n", scalar(secret)));
            }
        }
        page.maybe("grafana", &self.grafana, |which| scalar(&which.to_string()));
        page.line(&format!("profile: {}", self.profile.value), &self.profile.from);
        page.maybe("budget", &self.budget, |budget| scalar(&budget.to_string()));
        if let Some(fit) = fit {
            let Load { nodes, pods, topics } = fit.load;
            let from = match self.expected.value.is_complete() {
                true => &self.expected.from,
                false => &Source::Cluster,
            };
            page.line(
                &format!("expect: {{nodes: {nodes}, pods: {pods}, topics: {topics}}}"),
                from,
            );
            page.chosen(fit);
        }
        if !self.images.value.is_empty() {
            page.line("images:", &self.images.from);
            for (image, other) in &self.images.value {
                page.0.push_str(&format!("  {}: {}\n", scalar(image), scalar(other)));
            }
        }
        page.maybe("registry", &self.registry, |registry| scalar(registry));
        page.maybe("imagePullSecret", &self.pull_secret, |secret| scalar(secret));
        page.line(&format!("sampling: {}", self.sampling.value), &self.sampling.from);
        page.line(&format!("slow: {}", self.slow.value), &self.slow.from);
        page.0
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str, from: &Source) {
        self.0.push_str(&format!("{text:<40} # {from}\n"));
    }

    fn maybe<T>(&mut self, key: &str, setting: &Setting<Option<T>>, show: impl Fn(&T) -> String) {
        match &setting.value {
            Some(value) => self.line(&format!("{key}: {}", show(value)), &setting.from),
            None => self.0.push_str(&format!("# {key}: not set\n")),
        }
    }

    fn list<T: Display>(&mut self, key: &str, setting: &Setting<Vec<T>>) {
        let values: Vec<String> = setting.value.iter().map(|value| scalar(&value.to_string())).collect();
        self.line(&format!("{key}: [{}]", values.join(", ")), &setting.from);
    }

    /// What a budget has become: to read, not to set.
    fn chosen(&mut self, fit: &Fit) {
        for size in &fit.sizes {
            self.0
                .push_str(&format!("#   {size}, {}Mi of it requested\n", size.request));
        }
        let (hours, megabytes) = fit.retention;
        self.0.push_str(&format!(
            "#   metrics are kept for {hours}h or {megabytes}MB, whichever is less\n"
        ));
        self.0.push_str(&format!("#   streams by topic: {}\n", fit.streams));
        if fit.begun != Share::ALL {
            self.0
                .push_str(&format!("#   the sidecars begin {} of all traces\n", fit.begun));
        }
    }

    fn service(&mut self, service: &Entry) {
        self.0.push_str(&format!("  - name: {}\n", scalar(&service.name)));
        for (key, value) in [
            ("namespace", &service.namespace),
            ("appId", &service.app_id),
            ("container", &service.container),
        ] {
            if let Some(value) = value {
                self.0.push_str(&format!("    {key}: {}\n", scalar(value)));
            }
        }
        if !service.scaling.is_nothing() {
            let bounds = [("min", service.scaling.min), ("max", service.scaling.max)];
            let bounds = bounds
                .into_iter()
                .filter_map(|(key, number)| Some(format!("{key}: {}", number?)));
            let bounds: Vec<String> = bounds.collect();
            self.0.push_str(&format!("    scaling: {{{}}}\n", bounds.join(", ")));
        }
    }
}

/// Quoted where YAML would take it for something else than text.
fn scalar(text: &str) -> String {
    // JSON's strings are YAML's as well.
    let quoted = serde_json::Value::from(text).to_string();
    let plain = serde_saphyr::to_string(&text).unwrap_or_default();
    match plain.trim_end() {
        plain if plain == text => plain.to_owned(),
        _ => quoted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(scalar("shop"), "shop");
        for strange in ["true", "1e3", "123", "no", "null", "a: b", "x #y", "\u{1b}[0m", ""] {
            let written = scalar(strange);
            assert!(written.starts_with('"'), "{written}");
            let read: String = serde_saphyr::from_str(&written).expect("a scalar");
            assert_eq!(read, strange);
        }
    }
}
