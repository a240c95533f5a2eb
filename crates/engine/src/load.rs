//! Reading an execution back from its rows. What is read is what was committed; nothing is made up.

use std::collections::BTreeMap;

use stepwright_machine::{Execution, ExecutionInfo, Frame, FrameId, Head, Workflow};
use stepwright_store::{
    Store, Table, keys,
    records::{self, ExecutionRow},
};

use crate::{
    catalog::corrupt,
    error::{Error, Result},
    map_runs::execution_arn,
    message::ExecutionRef,
    rows::{self, PayloadReader},
    shared::Shared,
    turn::{FEW_FRAMES, Hot},
};

impl Shared {
    /// What is fixed for an execution, from its rows.
    pub(crate) fn info(
        &self,
        execution: ExecutionRef,
        row: &ExecutionRow,
        revision: &records::RevisionRow,
    ) -> ExecutionInfo {
        info(execution, row, revision, self.secrets.token_key(execution.id))
    }

    /// Reads an open execution back; none if it is unknown or closed.
    pub(crate) fn load(&self, execution: ExecutionRef) -> Result<Option<Hot>> {
        let ExecutionRef { scope, id } = execution;
        let store = &*self.store;
        let key = keys::execution(scope, id);
        let Some(bytes) = store.get(Table::Execution, &key)? else { return Ok(None) };
        let row: ExecutionRow = records::decode(Table::Execution, &bytes)?;
        if row.end.is_some() {
            return Ok(None);
        }
        let revision = self.catalog.revision(scope, row.machine, row.revision)?;
        let info = self.info(execution, &row, &revision.row);
        let mut hot = Hot {
            execution: Execution::new(info),
            revision,
            row,
            uncommitted: 0,
            written: true,
            bytes: 1_024,
            used: 0,
            child_has_row: false,
        };
        let Some(bytes) = store.get(Table::Head, &key)? else {
            // It went into quarantine before its first turn was ever committed: it begins anew.
            hot.written = false;
            hot.child_has_row = hot.row.child.is_some();
            return Ok(Some(hot));
        };
        let mut head: Head = records::decode(Table::Head, &bytes)?;
        head.redriven = hot.row.redriven;
        self.hydrate(&mut hot, head)?;
        Ok(Some(hot))
    }

    /// Gives an execution its head and what is stored of its frames and payloads.
    pub(crate) fn hydrate(&self, hot: &mut Hot, head: Head) -> Result<()> {
        let execution = hot.reference();
        let store = &*self.store;
        let frames = read_frames(store, execution, &head)?;
        hot.bytes += frames.len() * 512;
        hot.execution.head = head;
        hot.execution.frames = frames;
        let mut reader = PayloadReader::new(store, execution);
        let mut failure: Option<Error> = None;
        let mut bytes = 0;
        let hydrated = hot.execution.hydrate(|payload| match reader.must(payload) {
            Ok(text) => {
                bytes += text.len() + 96;
                Some(text)
            }
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        hot.bytes += bytes;
        match (failure, hydrated) {
            (Some(error), _) => Err(error),
            (None, Err(payload)) => Err(corrupt(&format!("payload {payload:?}"))),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// What is fixed for an execution, from its rows and the key of its tokens.
pub(crate) fn info(
    execution: ExecutionRef,
    row: &ExecutionRow,
    revision: &records::RevisionRow,
    token_key: [u8; 32],
) -> ExecutionInfo {
    let child = row.child.as_deref();
    ExecutionInfo {
        id: execution.id,
        arn: execution_arn(&revision.machine_arn, row),
        name: row.name.clone(),
        role_arn: revision.role_arn.clone(),
        state_machine_arn: match child {
            Some(child) => crate::arn::labelled(&revision.machine_arn, &child.label),
            None => revision.machine_arn.clone(),
        },
        state_machine_name: match child {
            Some(child) => format!("{}/{}", revision.machine_name, child.label).into(),
            None => revision.machine_name.clone(),
        },
        version_arn: row.version.map(|version| format!("{}:{version}", revision.machine_arn).into()),
        alias_arn: row.alias.as_ref().map(|alias| format!("{}:{alias}", revision.machine_arn).into()),
        machine: u64::from(row.machine),
        revision: u64::from(row.revision),
        started_at: execution.id.started_at(),
        trace_header: row.trace_header.clone(),
        limits: row.limits(),
        semantics: row.semantics,
        scope: execution.scope,
        token_key,
        workflow: Workflow::Standard,
        flow: child.map_or(0, |child| child.flow),
        test_case: row.test_case.clone(),
    }
}

fn read_frames(store: &dyn Store, execution: ExecutionRef, head: &Head) -> Result<BTreeMap<FrameId, Frame>> {
    let ExecutionRef { scope, id } = execution;
    let mut frames = BTreeMap::new();
    if head.next_frame as usize <= FEW_FRAMES {
        for number in 0..head.next_frame {
            if let Some(row) = store.get(Table::Frame, &keys::frame(scope, id, number))? {
                frames.insert(FrameId(number), records::decode(Table::Frame, &row)?);
            }
        }
        return Ok(frames);
    }
    rows::for_each(store, Table::Frame, &keys::execution(scope, id), |key, value| {
        let number = keys::parse_frame(key).ok_or_else(|| corrupt("the key of a frame"))?;
        frames.insert(FrameId(number), records::decode(Table::Frame, value)?);
        Ok(())
    })?;
    Ok(frames)
}
