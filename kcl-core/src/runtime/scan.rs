//! A look at the whole table, and the rows that are none of ours.

use std::collections::BTreeSet;

use super::context::Context;
use crate::plan::streams::{Standing, Wanted};
use crate::row_names;
use crate::types::{Projection, Row, RowProblem, StoreError};

/// Reads every page. What came of one page but not of the next is worthless, so an error ends the look.
pub(crate) async fn scan(context: &Context, projection: Projection) -> Result<(Vec<Row>, Vec<RowProblem>), StoreError> {
    let started = context.clock.now();
    let (mut rows, mut problems, mut page) = (Vec::new(), Vec::new(), None);
    loop {
        let answer = context.within_attempt(context.leases.scan(projection, page.take())).await;
        let answer = answer.unwrap_or_else(|| Err(context.no_answer()))?;
        rows.extend(answer.rows);
        problems.extend(answer.unreadable);
        match answer.next {
            Some(next) => page = Some(next),
            None => break,
        }
    }
    context.metrics.scan_time.record(context.clock.now().since(started).as_secs_f64());
    Ok((rows, problems))
}

/// Reports each row that cannot be used once, with key and attribute, and leaves it alone.
#[derive(Debug, Default)]
pub(crate) struct RowReporter {
    reported: BTreeSet<(String, String)>,
}

/// However many rows are strange, the memory for having told so is bounded.
const REPORTED_AT_MOST: usize = 10_000;

impl RowReporter {
    /// Reports the problems, and the rows among `rows` that do not belong into a table of what is wanted, and keeps the
    /// others.
    pub(crate) fn sift(&mut self, rows: Vec<Row>, problems: Vec<RowProblem>, wanted: &Wanted) -> Vec<Row> {
        for problem in problems {
            if self.is_new(&problem.key, &problem.problem) {
                let RowProblem { key, attribute, problem } = problem;
                tracing::warn!(key, attribute, problem, "a row of the lease table cannot be read and is left alone");
            }
        }
        rows.into_iter().filter(|row| self.keep(row, wanted)).collect()
    }

    fn keep(&mut self, row: &Row, wanted: &Wanted) -> bool {
        match row {
            Row::Lease(lease) if wanted.standing(lease) == Standing::Foreign => {
                let attribute = if lease.multi_stream.is_some() { row_names::STREAM } else { row_names::KEY };
                if self.is_new(lease.key.as_str(), "foreign") {
                    let key = lease.key.as_str();
                    tracing::warn!(key, attribute, "a lease of another stream stands in the table and is left alone");
                }
                false
            }
            Row::Other { key, entity_type } => {
                if self.is_new(key, entity_type) {
                    tracing::info!(
                        key,
                        attribute = row_names::ENTITY_TYPE,
                        entity_type,
                        "a row of another kind is left alone"
                    );
                }
                false
            }
            Row::Lease(_) | Row::Worker(_) | Row::Leader(_) => true,
        }
    }

    fn is_new(&mut self, key: &str, what: &str) -> bool {
        self.reported.len() < REPORTED_AT_MOST && self.reported.insert((key.to_owned(), what.to_owned()))
    }
}
