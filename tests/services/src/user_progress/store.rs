//! The lessons on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::lesson::Lesson;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS lessons (
        id         TEXT PRIMARY KEY,
        course     TEXT NOT NULL,
        title      TEXT NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
";

pub struct Store(Mutex<Connection>);

#[derive(Debug, Serialize)]
pub(super) struct Progress {
    lessons: i64,
    deliveries: i64,
}

/// As Prometheus reads it.
impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "# HELP user_progress_deliveries_total Lessons that were delivered."
        )?;
        writeln!(out, "# TYPE user_progress_deliveries_total counter")?;
        writeln!(out, "user_progress_deliveries_total {}", self.deliveries)?;
        writeln!(out, "# HELP user_progress_lessons Lessons in the database.")?;
        writeln!(out, "# TYPE user_progress_lessons gauge")?;
        writeln!(out, "user_progress_lessons {}", self.lessons)
    }
}

impl Store {
    /// The database at `$DB_PATH`.
    pub fn from_env() -> rusqlite::Result<Self> {
        let path = std::env::var_os("DB_PATH").map(PathBuf::from);
        Self::open(&path.unwrap_or_else(|| "/data/progress.db".into()))
    }

    /// Write-ahead logging, not synced with every commit: a killed process
    /// loses nothing, a machine without power may lose the last lessons.
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Self::prepare(connection)
    }

    fn prepare(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Returns how often this lesson has been delivered by now.
    pub(super) fn record(&self, lesson: &Lesson) -> rusqlite::Result<i64> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached("INSERT OR IGNORE INTO lessons (id, course, title) VALUES (?1, ?2, ?3)")?
            .execute(params![lesson.id, lesson.course, lesson.title])?;
        let deliveries = transaction
            .prepare_cached("UPDATE lessons SET deliveries = deliveries + 1 WHERE id = ?1 RETURNING deliveries")?
            .query_row([&lesson.id], |row| row.get(0))?;
        transaction.commit()?;
        Ok(deliveries)
    }

    pub(super) fn progress(&self) -> rusqlite::Result<Progress> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached("SELECT count(*), coalesce(sum(deliveries), 0) FROM lessons")?
            .query_row([], |row| {
                Ok(Progress {
                    lessons: row.get(0)?,
                    deliveries: row.get(1)?,
                })
            })
    }
}

#[cfg(test)]
impl Store {
    pub(super) fn in_memory() -> rusqlite::Result<Self> {
        Self::prepare(Connection::open_in_memory()?)
    }

    pub(super) fn broken() -> rusqlite::Result<Self> {
        Ok(Self(Mutex::new(Connection::open_in_memory()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlives_the_process() {
        let path = std::env::temp_dir().join(format!("progress-{}.db", std::process::id()));
        let lesson = Lesson {
            id: "a".into(),
            course: "rust".into(),
            title: "Borrowing".into(),
            text: String::new(),
        };
        for time in 1..=2 {
            let store = Store::open(&path).unwrap();
            assert_eq!(store.record(&lesson).unwrap(), time);
            assert_eq!(store.progress().unwrap().lessons, 1);
        }
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
}
