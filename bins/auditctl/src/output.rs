//! The shared output layer: tables for people, JSON and CSV for programs.
//!
//! A table fits the terminal and cuts a cell with `…`; away from a terminal nothing is cut. JSON is one document, or one
//! object a line where a command streams. Colours only on a terminal.

use std::io::{IsTerminal as _, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Row, Table, presets};
use serde::Serialize;

use crate::error::CliError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What a cell means, shown as colour on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Look here.
    Bad,
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    text: String,
    tone: Tone,
}

/// Columns with the field names that JSON and CSV use, too.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Text>>,
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    /// The format asked for.
    pub(crate) format: Format,
    terminal: bool,
}

impl Text {
    /// A cell with a meaning.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; one cell a column.
    pub(crate) fn push(&mut self, row: Vec<Text>) {
        self.rows.push(row);
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Output {
    /// Writes to standard output.
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Writes rows as a table or CSV, whichever is asked for; `json` is written instead when JSON is.
    pub(crate) fn rows_or(&self, rows: &Rows, json: &impl Serialize) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.line(&self.table(rows).trim_fmt()),
            Format::Json => self.json(json),
            Format::Csv => csv(rows, true),
        }
    }

    /// One document.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), CliError> {
        self.line(
            &serde_json::to_string_pretty(document)
                .map_err(|error| CliError::Usage(error.to_string()))?,
        )
    }

    /// One object of a stream.
    pub(crate) fn json_line(&self, object: &impl Serialize) -> Result<(), CliError> {
        self.line(
            &serde_json::to_string(object).map_err(|error| CliError::Usage(error.to_string()))?,
        )
    }

    /// Part of a stream of rows; `first` writes the header.
    pub(crate) fn stream(&self, rows: &Rows, first: bool) -> Result<(), CliError> {
        match self.format {
            Format::Csv => csv(rows, first),
            Format::Table | Format::Json => {
                let mut table = self.table(rows);
                if !first {
                    table.set_header(Vec::<String>::new());
                }
                self.line(&table.trim_fmt())
            }
        }
    }

    /// A line for people, left out of JSON and CSV.
    pub(crate) fn remark(&self, line: &str) -> Result<(), CliError> {
        if self.format == Format::Table {
            self.line(line)
        } else {
            Ok(())
        }
    }

    /// A line of text.
    pub(crate) fn line(&self, line: &str) -> Result<(), CliError> {
        writeln!(std::io::stdout(), "{line}").map_err(|_closed| CliError::OutputClosed)
    }

    fn table(&self, rows: &Rows) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_truncation_indicator("…");
        if self.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.force_no_tty();
        }
        table.set_header(
            rows.columns
                .iter()
                .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
        for row in &rows.rows {
            table.add_row(self.table_row(row));
        }
        table
    }

    fn table_row(&self, row: &[Text]) -> Row {
        let mut cells = Row::from(row.iter().map(|cell| match cell.tone {
            Tone::Plain => Cell::new(printable(&cell.text)),
            Tone::Good => Cell::new(printable(&cell.text)).fg(Color::Green),
            Tone::Bad => Cell::new(printable(&cell.text)).fg(Color::Red),
        }));
        // On a terminal a row is one line; what does not fit ends in `…`.
        if self.terminal {
            cells.max_height(1);
        }
        cells
    }
}

/// Event text is hostile: control characters could move the cursor or fake lines.
pub(crate) fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    } else {
        text.to_owned()
    }
}

fn csv(rows: &Rows, header: bool) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(std::io::stdout());
    let closed = |_closed: csv::Error| CliError::OutputClosed;
    if header {
        writer.write_record(&rows.columns).map_err(closed)?;
    }
    for row in &rows.rows {
        writer
            .write_record(row.iter().map(|cell| &cell.text))
            .map_err(closed)?;
    }
    writer.flush().map_err(|_closed| CliError::OutputClosed)
}
