//! What a start runs: from the ARN that was given to a revision of a machine, and the permission to run it. The one
//! place where that is decided, for executions of either type.

use std::sync::Arc;

use stepwright_store::keys::ScopeNumber;

use crate::{
    arn,
    catalog::{Resolved, Revision, StartPermit},
    error::{Error, Result},
    model::Scope,
    shared::Shared,
};

/// What a start runs.
pub(crate) struct Chosen {
    pub(crate) scope: ScopeNumber,
    pub(crate) revision: Arc<Revision>,
    /// The version and the alias that the ARN named.
    pub(crate) version: Option<u32>,
    pub(crate) alias: Option<Arc<str>>,
    pub(crate) permit: StartPermit,
}

impl Chosen {
    /// Whether it is a machine's of type EXPRESS.
    pub(crate) fn is_express(&self) -> bool {
        self.revision.row.express
    }
}

impl Shared {
    /// What a start of this ARN runs.
    pub(crate) fn choose(&self, scope: &Scope, arn: &Arc<str>) -> Result<Chosen> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.clone() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (name, qualifier) = arn::machine_of(arn, scope).ok_or_else(missing)?;
        let (machine, resolved, permit) = self.catalog.permit_start(number, name, qualifier, self.seed(), arn)?;
        let Resolved { revision, version, alias } = resolved;
        let revision = self.catalog.revision(number, machine.number, revision)?;
        Ok(Chosen { scope: number, revision, version, alias, permit })
    }
}
