use super::*;

#[test]
fn the_default_is_what_gobreaker_has() {
    assert_eq!(
        Trip::parse("consecutiveFailures > 5").expect("readable"),
        Trip::default()
    );
    assert_eq!(Trip::default().failures(), Some(6));
}
