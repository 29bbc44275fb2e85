use super::*;
use crate::{
    cli::{Cli, Verb},
    concern::Concern,
    model::Service,
};
use clap::Parser;

fn read(arguments: &[&str], file: &str) -> Result<Settings, Problem> {
    let cli = Cli::try_parse_from([&["x", "install"], arguments].concat()).expect("good flags");
    let Verb::Install(install) = cli.verb else {
        panic!("not install")
    };
    let file = File::parse(file, "learnflow.yaml")?;
    Settings::merge(&install.choice, &cli.global, file, "learnflow.yaml")
}

fn facts() -> [(String, Facts); 1] {
    [("shop".into(), of_shop())]
}

fn of_shop() -> Facts {
    let service = |name: &str| Service {
        name: name.into(),
        app_id: Some(format!("{name}-app")),
        container: Some("web".into()),
        ..Service::default()
    };
    Facts {
        kafka: vec!["kafka-pubsub".into()],
        services: vec![service("cart"), service("user")],
        ..Facts::default()
    }
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "profile: production\nregistry: a.io\nskip: [prometheus, grafana]\nservices: [{name: cart}]\n";
    let settings = read(&["--registry", "b.io", "--only", "middleware", "-n", "shop"], file).expect("settings");
    assert_eq!(settings.registry.value.as_deref(), Some("b.io"));
    assert_eq!(settings.registry.from, Source::Flag("--registry"));
    assert_eq!(settings.profile.value, Profile::Production);
    assert_eq!(settings.profile.from, Source::File("learnflow.yaml".into()));
    let concerns: Vec<Concern> = settings.concerns.value.iter().collect();
    assert_eq!(concerns, [Concern::Middleware], "the file's skip is no longer asked");
    assert_eq!(settings.sampling.from, Source::Default);
    assert_eq!(settings.services.value[0].name, "cart");
}

#[test]
fn contradictions_between_flags_and_file_are_refused() {
    let refused = |arguments: &[&str], file: &str| read(arguments, file).expect_err("refused").what;
    let twice = refused(&["--exclude", "cart"], "services: [{name: cart}]");
    assert!(twice.contains("service cart is both named and excluded"), "{twice}");
    let needs = refused(&["--skip", "collector"], "");
    assert!(needs.contains("prometheus needs collector"), "{needs}");
}

#[test]
fn several_namespaces_have_services_of_their_own() {
    let file = "namespaces: [shop, bank]\nservices: [{name: cart, namespace: shop}, {name: cart, namespace: bank}]\n";
    let settings = read(&[], file).expect("settings");
    assert_eq!(settings.within("bank").services.value.len(), 1);
    let one = read(&["-n", "bank"], file).expect("settings");
    assert_eq!(one.services.value.len(), 1, "what is said of shop is not meant");
    assert_eq!(one.services.value[0].namespace, None);
    let refused = |arguments: &[&str]| read(arguments, file).expect_err("refused").what;
    assert!(
        refused(&["-n", "zoo"]).contains("no service of namespace zoo"),
        "{}",
        refused(&["-n", "zoo"])
    );
    assert!(refused(&["--service", "x"]).contains("several namespaces"));

    let found = read(&[], "namespaces: [shop, bank]\n").expect("settings");
    let text = found
        .found(&[("shop".into(), of_shop()), ("bank".into(), of_shop())])
        .to_yaml(None);
    assert!(
        text.contains("  - name: cart\n    namespace: bank\n    appId: cart-app\n"),
        "{text}"
    );
    assert_eq!(read(&[], &text).expect("its own words").services.value.len(), 4);
}

#[test]
fn what_is_said_stays_and_the_rest_is_found() {
    let settings = read(&["--service", "cart=mine"], "").expect("settings");
    let settings = settings.found(&facts());
    let cart = &settings.services.value[0];
    assert_eq!(cart.app_id.as_deref(), Some("mine"));
    assert_eq!(cart.container.as_deref(), Some("web"));
    assert_eq!(settings.namespaces.from, Source::Kubeconfig);
    assert_eq!(settings.pubsub.value.as_deref(), Some("kafka-pubsub"));

    let all = read(&["--exclude", "user"], "").expect("settings").found(&facts());
    let names: Vec<&str> = all.services.value.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["cart"]);
}

/// Written anew by `UPDATE_EXPECT=1`.
#[test]
fn the_effective_settings_are_a_file_that_gives_the_same() {
    let said = read(&["--exclude", "user", "--budget", "1Gi"], "sampling: 0.1\n").expect("settings");
    let text = said.found(&facts()).to_yaml(None);
    crate::testing::same_as_file("tests/cases/print-config.yaml", &text);
    let again = read(&[], &text)
        .expect("its own words")
        .found(&[("other".into(), Facts::default())]);
    let sources = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.split(" # ").next().unwrap_or_default().trim_end().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(sources(&again.to_yaml(None)), sources(&text));
}
