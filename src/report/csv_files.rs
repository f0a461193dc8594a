//! Every CSV file that rtbench writes.

use super::csv_column::{Head, heads, of_run};
use super::{capacity, claims, comparison, csv, gate, projection};

/// A CSV file that rtbench writes.
pub struct Sheet {
    /// Its name, e.g. `cells.csv`.
    pub file: &'static str,
    /// Version of its columns: raised whenever one appears, goes, moves or changes its name or type.
    pub version: u32,
    /// What its rows are, in one line.
    pub about: &'static str,
    /// Its columns, in their order.
    pub heads: fn() -> Vec<Head>,
}

/// Every CSV file. A new one is a line here; what its columns were at each version lies in `csv_column/`.
pub static ALL: &[Sheet] = &[
    Sheet {
        file: "cells.csv",
        version: 3,
        about: "A row for each cell",
        heads: || of_run(&csv::cell_columns()),
    },
    Sheet {
        file: "intervals.csv",
        version: 2,
        about: "A row for each second of each cell",
        heads: || of_run(&csv::interval_columns()),
    },
    Sheet {
        file: "matrix.csv",
        version: 2,
        about: "Of `rtbench matrix`: a row for each field of the comparison matrix",
        heads: || of_run(&csv::matrix_columns()),
    },
    Sheet {
        file: "claims.csv",
        version: 2,
        about: "Of `rtbench matrix` and `rtbench claims`: a row for each claim of the guide",
        heads: || of_run(&claims::columns()),
    },
    Sheet {
        file: "capacity.csv",
        version: 2,
        about: "Of `rtbench capacity`: a row for each step of the search",
        heads: || of_run(&capacity::step_columns()),
    },
    Sheet {
        file: "projection.csv",
        version: 2,
        about: "Of `rtbench matrix` and `rtbench capacity`: a row for each protocol and number of users",
        heads: || of_run(&projection::columns()),
    },
    Sheet {
        file: "comparison.csv",
        version: 2,
        about: "Of `rtbench compare`: a row for each cell and metric",
        heads: || heads(&comparison::columns()),
    },
    Sheet {
        file: "gate.csv",
        version: 3,
        about: "Of `rtbench gate`: a row for each cell and metric",
        heads: || of_run(&gate::metric_columns()),
    },
    Sheet {
        file: "slices.csv",
        version: 2,
        about: "Of `rtbench gate`: a row for each slice of each replicate and side",
        heads: || of_run(&gate::slice_columns()),
    },
    Sheet {
        file: "selftest.csv",
        version: 2,
        about: "Of `rtbench gate --selftest`: a row for each known change",
        heads: || of_run(&gate::tally_columns()),
    },
];

/// All files and their columns as Markdown, as `results/README.md` has it.
pub fn markdown() -> String {
    let mut text = String::new();
    for sheet in ALL {
        text += &format!("\n### {}\n\n{}. Version {}.\n\n", sheet.file, sheet.about, sheet.version);
        text += "| column | type | unit | what |\n|---|---|---|---|\n";
        for head in (sheet.heads)() {
            let unit = if head.unit.is_empty() { String::new() } else { format!(" {}", head.unit) };
            text += &format!("| `{}` | {} |{unit} | {} |\n", head.name, head.kind.word(), head.about);
        }
    }
    text
}
