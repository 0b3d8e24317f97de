//! The tables of failures: each row is hit by what shows it, and every recorded failure has its kind.

use crate::{recorded, shown};
use belay_agents::failures::{self, Row, Seen, Table};
use belay_agents::{AGENTS, Transport};
use belay_trace::{Evidence, Failure};
use std::fmt::Write as _;

fn tables() -> impl Iterator<Item = &'static Table> {
    AGENTS.iter().map(|entry| entry.failures)
}

#[test]
fn every_agent_has_its_table() {
    for entry in AGENTS {
        let table = failures::table(entry.name).unwrap();
        assert_eq!(table.agent, entry.name);
        // What a program prints that belay knows nothing of is anybody's words.
        assert!(!table.rows.is_empty() || entry.name == "cmd");
    }
}

/// So no row stands behind one that takes all that it would get. What was recorded says more than one row's signs, and
/// what a provider says of it goes before.
#[test]
fn each_row_is_hit_by_what_shows_it_and_the_driver_tells_all_that_decides() {
    let (mut recorded, mut synthetic) = (0, 0);
    let mut missed = Vec::new();
    for table in tables() {
        for row in table.rows {
            let is_hit_by = |evidence: &[Evidence]| {
                table.row(evidence).is_some_and(|decided| std::ptr::eq(decided, row))
            };
            let failure = shown::failure_of(table, row);
            let is_hit = match row.seen {
                Seen::Recorded(_) => is_hit_by(&shown::evidence_of(row)),
                Seen::Synthetic => is_hit_by(&failure.evidence),
            };
            let signs = row.signs;
            if !is_hit || failure.kind != row.kind {
                let decided: Option<&Row> = table.row(&failure.evidence);
                missed.push(format!("{}: {signs:?} {failure:?}, by {decided:?}", table.agent));
            }
            assert!(!failure.message.is_empty());
            match row.seen {
                Seen::Recorded(_) => recorded += 1,
                Seen::Synthetic => synthetic += 1,
            }
        }
    }
    assert_eq!(missed, [] as [&str; 0], "{missed:#?}");
    println!(
        "{} rows are hit: {recorded} by recordings, {synthetic} by made-up streams",
        recorded + synthetic
    );
}

#[test]
fn no_two_rows_have_the_same_signs() {
    for table in tables() {
        let mut all: Vec<String> =
            table.rows.iter().map(|row| format!("{:?}", row.signs)).collect();
        all.sort();
        let twice = all.windows(2).find(|two| two[0] == two[1]);
        assert_eq!(twice, None, "{}", table.agent);
    }
}

/// Everything that was recorded and failed, with its kind: of the provider, of the agent, by a signal.
#[test]
fn every_recorded_failure_is_classified_as_reviewed() {
    let mut lines = String::new();
    let mut tell = |name: &str, failure: &Failure| {
        let evidence: Vec<String> = failure
            .evidence
            .iter()
            .map(|e| format!("{}={}", e.name, e.value.chars().take(40).collect::<String>()))
            .collect();
        let reset = failure.resets_at.map(|at| format!(" resets_at={at}")).unwrap_or_default();
        let hint = failure.reset_hint.as_ref().map(|h| format!(" hint={h}")).unwrap_or_default();
        writeln!(lines, "{name}: {}{reset}{hint} [{}]", failure.kind, evidence.join("; ")).unwrap();
    };
    for recording in recorded::all() {
        for failure in recording.ends().into_iter().filter_map(|end| end.failure) {
            tell(&recording.name, &failure);
        }
    }
    for table in tables() {
        for shown in shown::recorded(table.agent) {
            let way = if shown.transport == Transport::Dialogue { "dialogue" } else { "print" };
            tell(&format!("{}/{way}/{}", table.agent, shown.name), &shown.failure());
        }
    }
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("recorded-failures", lines);
    });
}
