//! The table, which is printed line by line as the figures come in.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::json::{Object, object};

/// One figure.
#[derive(Default)]
pub struct Row {
    /// What was measured.
    figure: String,
    /// What came of it.
    value: f64,
    /// In what it is counted.
    unit: &'static str,
    /// What was measured beside it, and what came of that.
    beside: Option<(String, f64)>,
    /// What it was meant to be, and whether it is.
    bar: Option<(&'static str, bool)>,
    /// What else came of it, in the same unit.
    also: Vec<(&'static str, f64)>,
}

impl Row {
    /// A figure by itself.
    pub fn new(figure: impl Into<String>, value: f64, unit: &'static str) -> Row {
        Row { figure: figure.into(), value, unit, ..Row::default() }
    }

    /// The same of something else, in the same unit.
    pub fn beside(mut self, what: impl Into<String>, value: f64) -> Row {
        self.beside = Some((what.into(), value));
        self
    }

    /// What it was meant to be.
    pub fn bar(mut self, bar: &'static str, held: bool) -> Row {
        self.bar = Some((bar, held));
        self
    }

    /// What else came of it, in the same unit.
    pub fn also(mut self, what: &'static str, value: f64) -> Row {
        self.also.push((what, value));
        self
    }

    /// How it stands to what was measured beside it; to nothing nothing has a ratio.
    pub fn ratio(&self) -> Option<f64> {
        let (_, beside) = self.beside.as_ref()?;
        (*beside != 0.0).then_some(self.value / beside)
    }

    /// The line in the table.
    fn line(&self) -> String {
        let value = format!("{} {}", number(self.value), self.unit);
        let beside = self.beside.as_ref().map_or_else(String::new, |(what, value)| {
            format!("{} {} {what}", number(*value), self.unit)
        });
        let ratio = self.ratio().map(number).unwrap_or_default();
        let mut line = format!("{:<43}{value:>13}   {beside:<36}{ratio:>7}", self.figure);
        if let Some((bar, held)) = self.bar {
            let verdict = if held { "held" } else { "MISSED" };
            let _ = write!(line, "   {bar} {verdict}");
        }
        for (at, (what, value)) in self.also.iter().enumerate() {
            let _ =
                write!(line, "{} {what} {}", if at == 0 { "   |" } else { "," }, number(*value));
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The figure for machines.
    fn write(&self, o: &mut Object<'_>) {
        o.str("figure", &self.figure).raw("value", &exact(self.value)).str("unit", self.unit);
        if let Some((what, value)) = &self.beside {
            o.object("beside", |o| {
                o.str("what", what).raw("value", &exact(*value));
            });
        }
        if let Some(ratio) = self.ratio() {
            o.raw("ratio", &exact(ratio));
        }
        if let Some((bar, held)) = self.bar {
            o.str("bar", bar).bool("held", held);
        }
        for (what, value) in &self.also {
            o.raw(what, &exact(*value));
        }
    }
}

/// Three digits of a number: there are no more in it.
pub fn number(value: f64) -> String {
    let mut least = 99.95;
    let mut digits = 0;
    while value != 0.0 && value.abs() < least && digits < 6 {
        least /= 10.0;
        digits += 1;
    }
    format!("{value:.digits$}")
}

/// A number as JSON.
fn exact(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "null".to_owned() }
}

/// All that was measured.
pub struct Table {
    /// What stands above it.
    head: Vec<(&'static str, String)>,
    /// The figures.
    rows: Vec<Row>,
    /// What could not be measured, and why.
    failures: Vec<(String, String)>,
}

impl Table {
    /// Prints the head.
    pub fn begin(head: Vec<(&'static str, String)>) -> io::Result<Table> {
        for (name, text) in &head {
            say(&format!("{name:<9}{text}"))?;
        }
        say(&format!(
            "\n{:<43}{:>13}   {:<36}{:>7}   bar",
            "figure", "this", "beside it", "ratio"
        ))?;
        Ok(Table { head, rows: Vec::new(), failures: Vec::new() })
    }

    /// Prints a figure.
    pub fn add(&mut self, row: Row) -> io::Result<()> {
        say(&row.line())?;
        self.rows.push(row);
        Ok(())
    }

    /// Says what could not be measured.
    pub fn failed(&mut self, figure: &str, why: &str) -> io::Result<()> {
        self.failures.push((figure.to_owned(), why.to_owned()));
        say(&format!("{figure:<43}{:>13}   {why}", "FAILED"))
    }

    /// Says what has come of it; `false` if not all is well.
    pub fn end(&mut self, load: &str) -> io::Result<bool> {
        let bars = self.rows.iter().filter_map(|row| row.bar);
        let held = bars.clone().filter(|(_, held)| *held).count();
        let missed = bars.count() - held;
        let failed = self.failures.len();
        say(&format!(
            "\nload {load}; bars: {held} held, {missed} missed; figures failed: {failed}"
        ))?;
        self.head.push(("load afterwards", load.to_owned()));
        Ok(missed == 0 && failed == 0)
    }

    /// All of it for machines.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        object(&mut out, |o| {
            for (name, text) in &self.head {
                o.str(name, text);
            }
            o.array("figures", |a| {
                for row in &self.rows {
                    a.object(|o| row.write(o));
                }
            });
            o.array("failed", |a| {
                for (figure, why) in &self.failures {
                    a.object(|o| {
                        o.str("figure", figure).str("why", why);
                    });
                }
            });
        });
        out.push('\n');
        out
    }
}

/// Prints a line.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The middle one; of none, nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The smallest one.
pub fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

/// The largest one.
pub fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
