//! Tasks as a table: which columns there are, how wide each is, and what is left out where there is
//! not the room. Pure: from cells to lines.

use super::text::{Look, Paint, fit, width};

/// How many columns a table has at most.
pub const COLUMNS: usize = 9;

/// A task as a row. Where a cell is empty, there is nothing to tell.
#[derive(Clone, Debug)]
pub struct Row {
    /// Clean texts without line ends, in the order of [`NAMES`].
    pub cells: [String; COLUMNS],
    /// How its status looks.
    pub look: Look,
}

/// The heads of the columns.
const NAMES: [&str; COLUMNS] =
    ["ID", "STATUS", "TIME", "PLAN", "CHANGES", "TOKENS", "BRANCH", "TASK", "NOW"];

/// The column whose colour is the row's.
const STATUS: usize = 1;

/// The first of the two columns of free text.
const TASK: usize = 7;

/// The second one, which is the last column.
const NOW: usize = 8;

/// The columns that are always there.
const ALWAYS: [usize; 4] = [0, STATUS, 2, NOW];

/// The others, in the order in which they are added as far as there is room.
const BY_WEIGHT: [usize; 5] = [3, TASK, 4, 5, BRANCH];

/// The column that is the least wanted: a branch has the task's id in its name.
const BRANCH: usize = 6;

/// What free text is given before the others get their room; and once more before branches do.
const LEAST: usize = 16;

/// Blanks between two columns.
const GAP: usize = 2;

/// Adds the head and the rows as lines, none of which is wider than `room` columns, where there is a
/// limit.
pub fn write(out: &mut String, rows: &[Row], room: Option<usize>, paint: Paint) {
    let widths = widths(rows, room);
    let heads = NAMES.map(str::to_owned);
    line(out, &heads, &widths, room, |_| Look::Bold, paint);
    for row in rows {
        let look = |column| if column == STATUS { row.look } else { Look::Plain };
        line(out, &row.cells, &widths, room, look, paint);
    }
}

/// Adds one line: cells side by side, the last one without blanks behind it.
fn line(
    out: &mut String,
    cells: &[String; COLUMNS],
    widths: &[Option<usize>; COLUMNS],
    room: Option<usize>,
    look: impl Fn(usize) -> Look,
    paint: Paint,
) {
    let mut left = room.unwrap_or(usize::MAX);
    let mut owed = 0;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let Some(width) = *width else { continue };
        if owed >= left {
            break;
        }
        // the blanks behind a cell are due when another one follows
        let mut taken = 0;
        if !cell.is_empty() {
            out.extend(std::iter::repeat_n(' ', owed));
            left -= owed;
            owed = 0;
            let mut text = String::new();
            taken = fit(&mut text, cell, width.min(left));
            paint.add(out, look(column), &text);
            left -= taken;
        }
        owed += width.saturating_sub(taken) + GAP;
    }
    out.push('\n');
}

/// How wide each column is that is shown.
fn widths(rows: &[Row], room: Option<usize>) -> [Option<usize>; COLUMNS] {
    let mut wanted = [0; COLUMNS];
    for row in rows {
        for (wanted, cell) in wanted.iter_mut().zip(&row.cells) {
            *wanted = width(cell).max(*wanted);
        }
    }
    let wants = |column: usize| {
        let (cell, name) = (wanted.get(column).copied(), NAMES.get(column));
        let cell = cell.filter(|cell| *cell > 0 || ALWAYS.contains(&column))?;
        Some(cell.max(name.map_or(0, |name| name.len())))
    };
    // texts get their least first
    let least = |column| {
        let wanted = wants(column)?;
        Some(if column >= TASK { wanted.min(LEAST) } else { wanted })
    };
    let mut widths = [None; COLUMNS];
    let mut left = room.unwrap_or(usize::MAX).saturating_add(GAP);
    for column in ALWAYS.into_iter().chain(BY_WEIGHT) {
        let Some(width) = least(column) else { continue };
        let texts = if column == BRANCH { 2 * LEAST } else { 0 };
        if width + GAP + texts <= left || ALWAYS.contains(&column) {
            left = left.saturating_sub(width + GAP);
            if let Some(place) = widths.get_mut(column) {
                *place = Some(width);
            }
        }
    }
    // then they share what is left, and what one does not want is the other's
    let grow = |column: usize| {
        let has: usize = (*widths.get(column)?)?;
        Some(wants(column)?.saturating_sub(has))
    };
    let (task, now) = (grow(TASK).unwrap_or(0), grow(NOW).unwrap_or(0));
    let of_task = task.min((left / 2).max(left.saturating_sub(now)));
    let of_now = now.min(left - of_task);
    for (column, more) in [(TASK, of_task), (NOW, of_now)] {
        if let Some(Some(width)) = widths.get_mut(column) {
            *width += more;
        }
    }
    widths
}

/// A bar for a plan of which so much is done, and the numbers.
pub fn bar(done: u64, all: u64) -> String {
    let full = done.saturating_mul(5).checked_div(all).unwrap_or(0).min(5);
    let bar: String = (0..5).map(|at| if at < full { '█' } else { '░' }).collect();
    format!("{bar} {done}/{all}")
}

/// A number as people read it: `950`, `12k`, `3.4M`.
pub fn short(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{}k", number / 1000),
        1_000_000..10_000_000 => {
            format!("{}.{}M", number / 1_000_000, number / 100_000 % 10)
        }
        _ => format!("{}M", number / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with these cells.
    fn row(cells: [&str; COLUMNS]) -> Row {
        Row { cells: cells.map(str::to_owned), look: Look::Plain }
    }

    /// The lines of a table.
    fn lines(rows: &[Row], room: Option<usize>) -> Vec<String> {
        let mut out = String::new();
        write(&mut out, rows, room, Paint(false));
        out.lines().map(str::to_owned).collect()
    }

    /// Two tasks, one of which has everything.
    fn two() -> [Row; 2] {
        [
            row([
                "1a2b3c4d",
                "running",
                "2m 05s",
                "███░░ 3/5",
                "2 files",
                "12k",
                "codex-swarm/1a2b3c4d",
                "Write tests for the cart",
                "exec_command(cargo test --workspace)",
            ]),
            row(["5e6f7a8b", "completed", "12s", "", "", "", "", "Look", "done"]),
        ]
    }

    #[test]
    fn without_a_limit_there_is_all_there_is_and_no_empty_column() {
        assert_eq!(
            lines(&two(), None),
            [
                "ID        STATUS     TIME    PLAN       CHANGES  TOKENS  BRANCH                TASK                      NOW",
                "1a2b3c4d  running    2m 05s  ███░░ 3/5  2 files  12k     codex-swarm/1a2b3c4d  Write tests for the cart  exec_command(cargo test --workspace)",
                "5e6f7a8b  completed  12s                                                       Look                      done",
            ]
        );
        assert_eq!(
            lines(&two()[1..], None),
            ["ID        STATUS     TIME  TASK  NOW", "5e6f7a8b  completed  12s   Look  done"]
        );
    }

    #[test]
    fn what_has_no_room_is_left_out_by_its_weight() {
        assert_eq!(
            lines(&two(), Some(80)),
            [
                "ID        STATUS     TIME    PLAN       TASK                 NOW",
                "1a2b3c4d  running    2m 05s  ███░░ 3/5  Write tests for th…  exec_command(cargo…",
                "5e6f7a8b  completed  12s                Look                 done",
            ]
        );
        assert_eq!(lines(&two(), Some(40))[1], "1a2b3c4d  running    2m 05s  exec_comma…");
    }

    #[test]
    fn no_line_is_ever_wider_than_the_room() {
        let mut rows = two().to_vec();
        rows.push(row([
            "漢字漢字",
            "cancelled",
            "1h 02m 05s",
            "",
            "",
            "",
            "",
            "漢字".repeat(20).as_str(),
            "é",
        ]));
        for room in 0..200 {
            for line in lines(&rows, Some(room)) {
                assert!(width(&line) <= room, "{room}: {line:?}");
            }
        }
        assert_eq!(lines(&rows, Some(500)), lines(&rows, None));
    }

    #[test]
    fn numbers_are_short() {
        let shorts = [0, 999, 1000, 12_999, 999_999, 3_450_000, 45_000_000].map(short);
        assert_eq!(shorts, ["0", "999", "1k", "12k", "999k", "3.4M", "45M"]);
        let bars = [bar(0, 3), bar(2, 3), bar(3, 3), bar(0, 0), bar(u64::MAX, 1)];
        assert_eq!(bars[..4], ["░░░░░ 0/3", "███░░ 2/3", "█████ 3/3", "░░░░░ 0/0"]);
    }
}
