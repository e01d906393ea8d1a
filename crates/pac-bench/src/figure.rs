//! Numbers, each with what it is of and which way is better.

use serde::{Deserialize, Serialize};

use crate::number::number;
use crate::statistic::Spread;

/// The figures of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    /// What they are of.
    pub(crate) title: String,
    /// What to know about them.
    pub(crate) notes: Vec<String>,
    /// The cases, each with its figures.
    pub(crate) rows: Vec<Row>,
}

/// One case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Which.
    pub(crate) name: String,
    /// Its figures, in the order of the columns.
    pub(crate) figures: Vec<Figure>,
}

/// One number, measured several times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What it is, with its unit.
    pub(crate) column: String,
    /// What it came to.
    pub(crate) spread: Spread,
    /// Which way is up.
    pub(crate) better: Better,
    /// Where it should get to, if that was said.
    pub(crate) reach: Option<f64>,
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// The higher one.
    Higher,
    /// The lower one.
    Lower,
    /// Neither: it only tells.
    Neither,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), notes: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a case, and says what it came to: whoever waits for the rest sees that it goes on.
    pub(crate) fn add(&mut self, row: Row) {
        let figures = row.figures.iter().map(|figure| format!("{} {}", figure.column, number(figure.spread.median)));
        eprintln!("  {}", figures.collect::<Vec<_>>().join("; "));
        self.rows.push(row);
    }

    /// The columns, in the order in which rows first name them.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for figure in self.rows.iter().flat_map(|row| &row.figures) {
            if !columns.contains(&figure.column.as_str()) {
                columns.push(&figure.column);
            }
        }
        columns
    }
}

// === impl Row ===

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), figures: Vec::new() }
    }

    /// Adds what `values` came to, unless there are none.
    pub(crate) fn add(&mut self, column: &str, better: Better, values: impl IntoIterator<Item = f64>) -> &mut Self {
        let values = values.into_iter().filter(|value| value.is_finite());
        if let Some(spread) = Spread::of(values) {
            self.figures.push(Figure { column: column.to_owned(), spread, better, reach: None });
        }
        self
    }

    /// Says where the figure in `column` should get to.
    pub(crate) fn reach(&mut self, column: &str, reach: f64) {
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.column == column) {
            figure.reach = Some(reach);
        }
    }

    /// The figure in `column`.
    pub(crate) fn figure(&self, column: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.column == column)
    }
}

// === impl Figure ===

impl Figure {
    /// Whether it got where it should; none if nothing was said.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let reach = self.reach?;
        match self.better {
            Better::Higher => Some(self.spread.median >= reach),
            Better::Lower => Some(self.spread.median <= reach),
            Better::Neither => None,
        }
    }
}
