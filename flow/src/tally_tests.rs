use super::*;
use crate::{Names, Reader};

fn log(lines: &[(i64, &str, &str, &str)]) -> String {
    let mut log = String::new();
    for (second, app, topic, rest) in lines {
        let dir = if rest.contains("partition") {
            "deliver"
        } else {
            "publish"
        };
        let (minute, second) = (second / 60, second % 60);
        log.push_str(&format!(
            "time=\"2026-01-15T10:{minute:02}:{second:02}Z\" level=info msg=\"{{\\\"lf\\\":1,\\\"dir\\\":\\\"{dir}\\\",\
             \\\"pubsub\\\":\\\"p\\\",\\\"topic\\\":\\\"{topic}\\\",{}}}\" app_id={app} instance={app}-1 scope=x\n",
            rest.replace('"', "\\\"")
        ));
    }
    log
}

fn tally(window: Window, log: &str) -> (Tally, Names) {
    let (mut reader, mut names, mut tally) = (Reader::default(), Names::default(), Tally::new(window));
    reader.read(log.as_bytes(), &mut names, |event| {
        tally.add(&event);
    });
    assert_eq!(reader.counts().broken, 0);
    (tally, names)
}

#[test]
fn by_topic_service_and_direction() {
    let log = log(&[
        (0, "agent", "lessons", r#""outcome":"success","status":204,"us":1000"#),
        (5, "agent", "lessons", r#""outcome":"error","status":500,"us":3000"#),
        (
            6,
            "progress",
            "lessons",
            r#""outcome":"retry","us":10,"partition":0,"offset":1,"age_ms":40"#,
        ),
        (
            7,
            "progress",
            "lessons",
            r#""outcome":"success","us":10,"partition":0,"offset":1,"age_ms":1040"#,
        ),
        (
            8,
            "progress",
            "lessons",
            r#""outcome":"success","us":10,"partition":2,"offset":1"#,
        ),
        (10, "agent", "other", r#""outcome":"success","us":5"#),
    ]);
    let (tally, names) = tally(Window::All, &log);
    let rows = tally.rows(tally.last());
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                names.text(row.flow.topic),
                names.text(row.flow.app),
                row.flow.delivers,
                row.events(),
                row.success,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("lessons", "agent", false, 2, 1),
            ("lessons", "progress", true, 3, 2),
            ("other", "agent", false, 1, 1),
        ]
    );
    assert_eq!((rows[0].rate, rows[1].retry), (0.2, 1));
    let near = |value: Option<f64>, wanted: f64| value.is_some_and(|value| (value / wanted - 1.0).abs() < 0.02);
    assert!(near(rows[0].p99, 0.001), "{:?}", rows[0].p99);
    assert!(near(rows[1].age_p95, 0.04), "{:?}", rows[1].age_p95);
    let skew = rows[1].skew().expect("two partitions");
    assert!((skew - 4.0 / 3.0).abs() < 1e-9);
}

#[test]
fn what_is_older_than_the_window_goes() {
    let lines: Vec<_> = (0..60)
        .map(|second| (second, "agent", "lessons", r#""outcome":"success","us":1000"#))
        .collect();
    let (tally, _) = tally(Window::Seconds(10), &log(&lines));
    let rows = tally.rows(tally.last());
    assert!((10..=11).contains(&rows[0].success), "{}", rows[0].success);
    let later = Time(tally.last().0 + 60_000_000_000);
    assert_eq!(tally.rows(later), []);
}
