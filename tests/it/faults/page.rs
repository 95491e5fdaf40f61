//! The table for operators is the one that is tested.

use std::fs;
use std::path::Path;

use super::row::Row;
use super::{authority, exchange, upstream};
use crate::sso::store_faults;

#[test]
fn the_page_for_operators_has_every_row_that_is_tested_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let page = fs::read_to_string(path).unwrap();
    let tables = [
        authority::ROWS,
        exchange::ROWS,
        upstream::ROWS,
        store_faults::ROWS,
    ];
    let mut told: Vec<String> = Vec::new();
    for row in tables.iter().copied().flatten() {
        let heading = format!("### {}", row.place);
        if !told.contains(&heading) {
            told.push(heading);
        }
        told.push(Row::line(row));
    }
    let shown: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("### ") || line.ends_with("}` |"))
        .collect();
    assert_eq!(shown, told, "the tests' table is\n{}", told.join("\n"));
}
