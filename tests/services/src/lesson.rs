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
    /// A new id each time; the text follows from the wish alone.
    pub(crate) fn generate(wish: Wish) -> Self {
        let Wish { course, title } = wish;
        let text = format!("{title}. What {course} means by it, an example, and an exercise.");
        Self {
            id: random_hex::<16>(),
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
        let (one, two) = (Lesson::generate(wish.clone()), Lesson::generate(wish));
        assert_ne!(one.id, two.id);
        assert_eq!(one.id.len(), 32);
        assert_eq!(one.text, two.text);
    }
}
