//! Which lists an execution stands in, and what they show of it. The one place that knows; whoever writes, deletes or
//! checks entries asks here.

use stepwright_machine::{ExecutionId, Status};
use stepwright_store::{
    keys::{self, Listed, ScopeNumber},
    records::{ExecutionRow, ListMore, ListRow},
};

/// The entries of an execution in lists of this status; `None`: in those of every status.
pub(crate) fn entries(
    scope: ScopeNumber,
    id: ExecutionId,
    row: &ExecutionRow,
    status: Option<Status>,
) -> impl Iterator<Item = Vec<u8>> {
    let version = row.version.map(Listed::Version);
    let alias = row.alias.as_deref().map(Listed::Alias);
    let machine = row.machine;
    // Children of map runs stand in their run's list, which is their rows.
    let all = row.child.is_none().then_some(Listed::All);
    [all, version, alias].into_iter().flatten().map(move |listed| keys::list_entry(scope, machine, listed, status, id))
}

/// What a list shows of an execution.
pub(crate) fn shown(row: &ExecutionRow) -> ListRow {
    let redriven_at = row.redriven.map(|(_, at)| at);
    let has_more = row.version.is_some() || row.alias.is_some() || redriven_at.is_some();
    let more = || ListMore { version: row.version, alias: row.alias.clone(), redriven_at };
    ListRow {
        name: row.name.clone(),
        end: row.end.as_ref().map(|end| (end.closing.status, end.closing.at)),
        redrive_count: row.redriven.map_or(0, |(count, _)| count),
        more: has_more.then(|| Box::new(more())),
    }
}
