//! Objects as YAML text: the same bytes each time, for kubectl as for people.

use crate::problem::Problem;
use serde_json::Value;

/// Text in lines stays readable, text in one line stays in one: a long argument must not be folded.
pub(crate) fn write(value: &Value) -> Result<String, Problem> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: 1_000_000_000,
    };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|e| Problem::new(format!("Cannot write {}: {e}.", value["kind"])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Plan;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let plan = Plan::new("shop", &BTreeSet::from(["cart".into()])).expect("a plan");
        for object in plan.all() {
            let text = write(object.value()).expect("YAML");
            let again: Value = serde_saphyr::from_str(&text).expect("its own words");
            assert_eq!(again, *object.value(), "{text}");
        }
    }

    #[test]
    fn text_that_looks_like_something_else_is_quoted() {
        for text in [
            "0644", "1e3", "yes", "on", "~", "12:30:00", "1_000", " x", "x: y", "a\tb", "a\n\nb\n", "\n",
        ] {
            let value = serde_json::json!({ "a": text });
            let written = write(&value).expect("YAML");
            let again: Value = serde_saphyr::from_str(&written).expect("its own words");
            assert_eq!(again, value, "{written}");
            let plain = written.trim_end() == format!("a: {text}");
            assert!(!plain, "kubectl would read {written} as something else");
        }
    }
}
