//! The event of this system: a lesson was generated.

use serde::{Deserialize, Serialize};

use crate::trace_parent::random_hex;

/// What a learner asks for.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) course: String,
    pub(crate) title: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Lesson {
    pub(crate) id: String,
    pub(crate) course: String,
    pub(crate) title: String,
    pub(crate) text: String,
}

impl Lesson {
    /// With the id that the asker has given to the wish, or a new one; the text follows from the wish alone.
    pub(crate) fn generate(wish: Wish, id: Option<&str>) -> Self {
        let Wish { course, title } = wish;
        let text = format!("{title}. What {course} means by it, an example, and an exercise.");
        Self {
            id: id.map_or_else(random_hex::<16>, str::to_owned),
            course,
            title,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_texts_do_not() {
        let wish = Wish {
            course: "rust".into(),
            title: "Borrowing".into(),
        };
        let (one, two) = (
            Lesson::generate(wish.clone(), None),
            Lesson::generate(wish.clone(), None),
        );
        assert_ne!(one.id, two.id);
        assert_eq!(one.id.len(), 32);
        assert_eq!(one.text, two.text);
        assert_eq!(Lesson::generate(wish, Some("mine")).id, "mine");
    }
}
