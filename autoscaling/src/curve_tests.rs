use super::*;

#[test]
fn points_of_a_flag() {
    let curve = Curve::parse("0=200m, 1m=1.5,300=200m", Unit::Cpu, Shape::Linear).expect("a curve");
    for (at, value) in [
        (0, 200.0),
        (30_000, 850.0),
        (60_000, 1500.0),
        (180_000, 850.0),
        (400_000, 200.0),
    ] {
        assert_eq!(curve.at(at), value, "{at}");
    }
    assert_eq!((curve.end(), curve.peak()), (300_000, 1500.0));
    assert_eq!((curve.next(0), curve.next(300_000)), (Some(60_000), None));
    let steps = Curve::parse("10=1,10=2,20=3", Unit::Rate, Shape::Steps).expect("a curve");
    for (at, value) in [(0, 1.0), (10_000, 2.0), (19_999, 2.0), (20_000, 3.0)] {
        assert_eq!(steps.at(at), value, "{at}");
    }
    let line = Curve::parse("0=0,10=0,10=5", Unit::Rate, Shape::Linear).expect("a jump in a line");
    assert_eq!((line.at(9_999), line.at(10_000)), (0.0, 5.0));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, place) in [
        ("", "``"),
        ("0", "`0`: a point is"),
        ("0=1,x=2", "`x=2`: `x` is not a time"),
        ("0=1,60=fast", "`60=fast`: `fast` is not CPU"),
        ("0=-1", "`-1` is not CPU"),
        ("60=1,0=2", "time goes back from 60 s to 0 s"),
        ("0=1,999999999=2", "longer than ten days"),
        ("0=nan", "`nan` is not CPU"),
    ] {
        let wrong = Curve::parse(text, Unit::Cpu, Shape::Linear).expect_err(text);
        assert!(wrong.contains(place), "{text}: {wrong}");
    }
    let wrong = Curve::csv("time,value\n0,1\n5;2\n7 3\n", Unit::Cpu, Shape::Linear).expect_err("a line");
    assert_eq!(wrong, "line 4: `7 3` is not TIME,VALUE");
    let wrong = Curve::csv("0,1\nnoon,2\n", Unit::Cpu, Shape::Linear).expect_err("a time");
    assert_eq!(wrong, "line 2: `noon` is not a time; write seconds");
    assert!(Curve::csv("\n", Unit::Cpu, Shape::Linear).is_err());
}

#[test]
fn what_was_recorded() {
    for text in [
        "Time,Value\n1700000000,0.25\n1700000015,0.5\n",
        "\"1700000000000\",\"250m\"\n1700000015000,0.5",
        "# a comment\n100,0.25\n115,500m\n",
    ] {
        let curve = Curve::csv(text, Unit::Cpu, Shape::Linear).expect(text);
        assert_eq!(
            (curve.at(0), curve.at(15_000), curve.end()),
            (250.0, 500.0, 15_000),
            "{text}"
        );
    }
    let answer = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"pod":"a"},"values":[[1700000000,"0.25"],[1700000015,"0.5"]]},
        {"metric":{"pod":"b"},"values":[[1700000015,"0.25"]]}]}}"#;
    let curve = Curve::prometheus(answer, Unit::Cpu, Shape::Linear).expect("two series");
    assert_eq!((curve.at(0), curve.at(15_000)), (250.0, 750.0));
    let wrong = Curve::prometheus(r#"{"data":{"result":[{"values":[[1,2]]}]}}"#, Unit::Cpu, Shape::Linear);
    assert_eq!(
        wrong,
        Err("data.result[0].values[0]: it is not [TIME, \"VALUE\"]".into())
    );
}
