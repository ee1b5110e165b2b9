//! Results as a table for people or as JSON for programs, written to a pipe that may have had enough.

use crate::args::OutputFormat;
use serde::Serialize;
use std::error::Error;
use std::io::{self, Write};

/// Prints `value` as JSON, or `rows` as a table with `header`.
///
/// # Errors
/// When `value` can't be written as JSON, or standard output not at all.
pub fn print<T: Serialize>(
    format: OutputFormat,
    value: &T,
    header: &[&str],
    rows: impl FnOnce(&T) -> Vec<Vec<String>>,
) -> Result<(), Box<dyn Error>> {
    match format {
        OutputFormat::Json => line(&serde_json::to_string_pretty(value)?)?,
        OutputFormat::Table => text(&table(header, &rows(value)))?,
    }
    Ok(())
}

/// Writes to standard output. That its reader has gone, as `head` does, is no failure.
///
/// # Errors
/// When standard output can't be written for another reason.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to standard output, as [`text`] does.
///
/// # Errors
/// As [`text`].
pub fn line(line: &str) -> io::Result<()> {
    text(&format!("{line}\n"))
}

/// Says on standard error why a command failed, and what caused that.
pub fn complain(error: &dyn Error) {
    let mut said = error.to_string();
    eprintln!("levee: {said}");
    let mut source = error.source();
    while let Some(cause) = source {
        // Many errors have their cause in their own words already.
        let words = cause.to_string();
        if !said.contains(&words) {
            eprintln!("  because: {words}");
            said = words;
        }
        source = cause.source();
    }
}

/// Columns as wide as their widest cell, numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], i: usize| row.get(i).map_or(0, |c| c.chars().count());
    let widths: Vec<usize> = (0..header.len())
        .map(|i| rows.iter().map(|row| cell(row, i)).max().unwrap_or(0).max(header[i].chars().count()))
        .collect();
    let numeric: Vec<bool> = (0..header.len())
        .map(|i| !rows.is_empty() && rows.iter().all(|r| r.get(i).is_some_and(|c| c.parse::<f64>().is_ok())))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.enumerate().map(|(i, cell)| {
            let width = widths[i];
            if numeric[i] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str).take(header.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_go_right() {
        let rows = vec![vec!["a".into(), "7".into()], vec!["long name".into(), "1234".into()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME          N\na             7\nlong name  1234\n");
    }
}
