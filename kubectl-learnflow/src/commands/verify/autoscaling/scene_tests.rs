use super::*;

fn port(name: &str, number: u16) -> Port {
    Port {
        name: name.into(),
        number,
        tls: false,
    }
}

#[test]
fn the_port_is_the_one_that_is_meant() {
    let front = Front {
        name: "cart".into(),
        ports: vec![port("grpc", 50051), port("http-web", 80), port("", 9000)],
    };
    let number = |named: Option<&str>| port_number(&front, named);
    assert_eq!(number(None), Ok(80));
    assert_eq!(number(Some("grpc")), Ok(50051));
    assert_eq!(number(Some("9000")), Ok(9000));
    let problem = super::port(&front, Some("https")).expect_err("there is none");
    assert_eq!(
        problem.next.as_deref(),
        Some("Choose one with --port: grpc 50051, http-web 80, 9000.")
    );
    let plain = Front {
        name: "cart".into(),
        ports: vec![port("web", 8080), port("admin", 81)],
    };
    assert_eq!(port_number(&plain, None), Ok(8080), "the first");
}

fn port_number(front: &Front, named: Option<&str>) -> Result<u16, Problem> {
    super::port(front, named).map(|port| port.number)
}

#[test]
fn a_consumer_must_subscribe_to_the_topic() {
    assert_eq!(
        subscribes("cart", "canary", &["orders".into(), "canary".into()]),
        Ok(())
    );
    let problem = subscribes("cart", "canary", &["orders".into()]).expect_err("it does not");
    assert_eq!(
        problem.what,
        "cart does not subscribe to topic canary, so events there would not reach it."
    );
    assert!(
        problem
            .next
            .is_some_and(|next| next.starts_with("It subscribes to orders."))
    );
    assert!(subscribes("cart", "canary", &[]).is_err_and(|problem| {
        problem
            .next
            .is_some_and(|next| next.starts_with("It subscribes to none."))
    }));
}
