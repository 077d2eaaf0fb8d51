//! What an experiment found: named figures, with what others reached beside them.

use std::borrow::Cow;
use std::fmt;

/// The result of an experiment.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done, in one line.
    pub title: String,
    /// What was found.
    pub figures: Vec<Figure>,
    /// A picture.
    pub svg: Option<String>,
    /// What is wrong, where something is: the program then fails.
    pub verdict: Option<String>,
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name, by which it is found in the JSON object.
    pub key: Cow<'static, str>,
    /// What it is.
    pub value: Value,
    /// What others reached, or what is aimed at; empty where there is nothing to compare with.
    pub anchor: &'static str,
}

/// What a figure can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A measure; none where there was nothing to measure.
    Measure(Option<f64>),
    /// Counts by name.
    Counts(Vec<(Cow<'static, str>, u64)>),
    /// Whether something is so.
    Flag(bool),
    /// A text.
    Text(String),
    /// Rows of figures under the names of their columns.
    Rows {
        /// The names.
        columns: Vec<&'static str>,
        /// As many values as there are names, in each row.
        rows: Vec<Vec<Self>>,
    },
}

impl Report {
    /// A report without figures.
    #[must_use]
    pub fn new(title: String) -> Self {
        Self { title, ..Self::default() }
    }

    /// Adds a figure.
    pub fn add(&mut self, key: impl Into<Cow<'static, str>>, value: Value, anchor: &'static str) {
        self.figures.push(Figure { key: key.into(), value, anchor });
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let figures = self.figures.iter().map(|figure| (figure.key.to_string(), figure.value.json()));
        serde_json::Value::Object(figures.collect()).to_string()
    }

    /// The figures one below the other, with the anchors.
    #[must_use]
    pub fn table(&self) -> String {
        let rows: Vec<[String; 3]> = self.figures.iter().flat_map(Figure::rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (key, value) = (width(0), width(1));
        let mut table = format!("{}\n", self.title);
        for [name, figure, anchor] in &rows {
            table.push_str(format!("  {name:key$}  {figure:>value$}  {anchor}").trim_end());
            table.push('\n');
        }
        for figure in &self.figures {
            if let Value::Rows { columns, rows } = &figure.value {
                table.push_str(&aligned(columns, rows));
            }
        }
        table
    }
}

impl Figure {
    fn rows(&self) -> Vec<[String; 3]> {
        match &self.value {
            Value::Counts(counts) => counts
                .iter()
                .map(|(name, count)| [format!("{}.{name}", self.key), count.to_string(), String::new()])
                .collect(),
            Value::Rows { .. } => Vec::new(),
            value => vec![[self.key.to_string(), value.to_string(), self.anchor.to_owned()]],
        }
    }
}

impl Value {
    fn json(&self) -> serde_json::Value {
        match self {
            Self::Count(count) => (*count).into(),
            Self::Measure(measure) => (*measure).into(),
            Self::Counts(counts) => serde_json::Value::Object(
                counts.iter().map(|(name, count)| (name.to_string(), (*count).into())).collect(),
            ),
            Self::Flag(flag) => (*flag).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Rows { columns, rows } => rows.iter().map(|row| object(columns, row)).collect(),
        }
    }
}

fn object(columns: &[&str], row: &[Value]) -> serde_json::Value {
    let cells = columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.json()));
    serde_json::Value::Object(cells.collect())
}

/// Columns one beside the other, each as wide as it has to be.
fn aligned(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    let body = rows.iter().map(|row| row.iter().map(ToString::to_string).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("  {cell:>width$}"));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Measure(Some(measure)) if measure.abs() >= 100.0 => write!(f, "{measure:.0}"),
            Self::Measure(Some(measure)) if *measure != 0.0 && measure.abs() < 0.01 => write!(f, "{measure:.1e}"),
            Self::Measure(Some(measure)) => write!(f, "{measure:.3}"),
            Self::Measure(None) => f.write_str("-"),
            Self::Counts(counts) => write!(f, "{counts:?}"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Rows { rows, .. } => write!(f, "{} rows", rows.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_line_with_the_given_keys() {
        let mut report = Report::new("a run".into());
        report.add("rmr", Value::Measure(Some(0.5)), "0.34 by a rival");
        report.add("p50_ms", Value::Measure(None), "");
        report.add("injected", Value::Counts(vec![("lost".into(), 3), ("cut".into(), 0)]), "");
        assert_eq!(report.json(), r#"{"injected":{"cut":0,"lost":3},"p50_ms":null,"rmr":0.5}"#);
        assert_eq!(
            report.table(),
            "a run\n  rmr            0.500  0.34 by a rival\n  p50_ms             -\n  injected.lost      3\n  \
             injected.cut       0\n"
        );
    }

    #[test]
    fn rows_stand_under_their_columns() {
        let mut report = Report::new("a table".into());
        let row = |name: &str, residue| vec![Value::Text(name.into()), Value::Measure(Some(residue))];
        let rows = vec![row("push", 0.18), row("pull", 0.000_004)];
        report.add("rows", Value::Rows { columns: vec!["variant", "residue"], rows }, "");
        assert_eq!(report.json(), r#"{"rows":[{"residue":0.18,"variant":"push"},{"residue":4e-6,"variant":"pull"}]}"#);
        assert_eq!(report.table(), "a table\n  variant  residue\n     push    0.180\n     pull   4.0e-6\n");
    }
}
