//! Imports of a shop's order list: many submissions in one commit, with how far the file was taken.
//!
//! A row is a submission like any other, apart from what it may stir: it waits behind the shop's live payments
//! and its alerts are grouped. What contradicts an earlier submission is told to whoever imports, row by row, and
//! to on-call once.

use serde::{Deserialize, Serialize};

use crate::core::record::Event;
use crate::core::submission::{Submission, Teller};
use crate::engine::{Engine, Refusal, Submitted, books};
use crate::store::{Draft, Fault, Table, View};
use crate::words::time::{Now, Timestamp};

/// Rows of `Table::Meta`, by file.
const IMPORT: &str = "import/";

/// Rows of a file that follow each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Stands for the file's bytes and how they are read.
    pub file: String,
    /// The file's name, for people.
    pub name: String,
    /// Rows of the file before these.
    pub from: u64,
    pub rows: Vec<Row>,
    /// The last rows of the file are among these.
    pub is_last: bool,
    /// Forget that the file was taken before.
    pub restart: bool,
    /// Say what would become of the rows, and change nothing.
    pub dry_run: bool,
}

/// A row that could be read, or why it could not.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub line: u64,
    pub read: Result<Box<Submission>, Refusal>,
}

/// How far a file was taken, and what became of its rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Rows taken, the skipped ones among them.
    pub offset: u64,
    pub created: u64,
    /// Known before.
    pub same: u64,
    /// Known before, and given their gateway order number.
    pub amended: u64,
    /// They contradict what was submitted before under their request-id; the first submissions stand.
    pub conflicts: u64,
    /// They can't be submissions.
    pub refused: u64,
    /// When the last row was taken.
    pub finished_at: Option<Timestamp>,
}

impl Progress {
    pub fn skipped(&self) -> u64 {
        self.conflicts + self.refused
    }
}

/// A row that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Skipped {
    pub line: u64,
    #[serde(flatten)]
    pub why: Refusal,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Imported {
    Taken {
        progress: Progress,
        skipped: Vec<Skipped>,
    },
    /// The file was taken up to another row.
    OutOfStep {
        progress: Progress,
    },
}

/// Why a batch is taken back.
enum Back {
    Fault(Fault),
    /// It was only tried.
    Tried(Progress, Vec<Skipped>),
}

impl From<Fault> for Back {
    fn from(fault: Fault) -> Back {
        Back::Fault(fault)
    }
}

impl Engine {
    /// Takes some rows of a file. Once the draft is committed, no row of them is taken twice.
    pub fn import(&self, draft: &mut Draft, batch: Batch, now: Now) -> Result<Imported, Fault> {
        if batch.dry_run {
            let tried = draft.attempt(|draft| -> Result<(), Back> {
                let mut progress = Progress::default();
                let skipped = self.take(draft, batch.rows, &mut progress, now)?;
                Err(Back::Tried(progress, skipped))
            });
            return match tried {
                Err(Back::Tried(progress, skipped)) => Ok(Imported::Taken { progress, skipped }),
                Err(Back::Fault(fault)) => Err(fault),
                Ok(()) => Err(Fault::Broken("a rehearsal was kept".into())),
            };
        }
        let mut progress = match self.import_progress(draft, &batch.file)? {
            Some(progress) if !(batch.restart && batch.from == 0) => progress,
            Some(_) | None => Progress::default(),
        };
        if progress.offset != batch.from || progress.finished_at.is_some() {
            return Ok(Imported::OutOfStep { progress });
        }
        let skipped = self.take(draft, batch.rows, &mut progress, now)?;
        if batch.is_last {
            progress.finished_at = Some(now.wall);
            let event = Event::Imported {
                file: batch.file.clone(),
                name: batch.name.chars().filter(|c| !c.is_control()).take(200).collect(),
                rows: progress.offset,
                created: progress.created,
                conflicts: progress.conflicts,
                refused: progress.refused,
            };
            self.record(draft, event, now)?;
        }
        books::write(draft, Table::Meta, key(&batch.file), &progress)?;
        Ok(Imported::Taken { progress, skipped })
    }

    fn take(
        &self,
        draft: &mut Draft,
        rows: Vec<Row>,
        progress: &mut Progress,
        now: Now,
    ) -> Result<Vec<Skipped>, Fault> {
        let mut skipped = Vec::new();
        for Row { line, read } in rows {
            progress.offset += 1;
            let outcome = match read {
                Ok(submission) => self.submit_by(draft, *submission, Teller::Import, None, now)?,
                Err(why) => Submitted::Refused(why),
            };
            match outcome {
                Submitted::Created { .. } => progress.created += 1,
                Submitted::Same { .. } => progress.same += 1,
                Submitted::Amended { .. } => progress.amended += 1,
                Submitted::Conflict { field, .. } => {
                    progress.conflicts += 1;
                    let hint = "the first submission stands";
                    let why = Refusal::new(field, "differs from what was submitted before under this request-id", hint);
                    skipped.push(Skipped { line, why });
                }
                Submitted::Refused(why) => {
                    progress.refused += 1;
                    skipped.push(Skipped { line, why });
                }
            }
        }
        Ok(skipped)
    }

    /// How far a file was taken; `None`: nothing of it was.
    pub fn import_progress(&self, view: &dyn View, file: &str) -> Result<Option<Progress>, Fault> {
        books::read(view, Table::Meta, &key(file))
    }
}

fn key(file: &str) -> Vec<u8> {
    format!("{IMPORT}{file}").into_bytes()
}
