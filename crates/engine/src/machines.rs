//! Operations on the catalog. A change reads, commits and enters what it changed while nobody else changes; it runs
//! as a task of its own, so that a caller who goes away cannot leave it half done.

use std::sync::Arc;

use stepwright_store::{
    Commit, Table,
    keys::{self, ScopeNumber, Tagged},
    records::{self, ActivityRow, MachineRow, PublishedRow, RevisionRow, TagsRow},
};

use crate::{
    arn,
    catalog::{self, Published, Revision},
    error::{Error, Result},
    model::{
        Activity, Created, MachineType, NewActivity, NewStateMachine, Page, PageRequest, Scope, StateMachine,
        StateMachineItem, StateMachineUpdate, Tag, Updated,
    },
    page, reads,
    shared::Shared,
    versions::{self, Publishing},
};

/// Tags of one resource at most.
const MAX_TAGS: usize = 50;
/// The revision that a machine is created with.
const INITIAL: u32 = 1;

impl Shared {
    pub(crate) async fn create_state_machine(&self, scope: &Scope, new: NewStateMachine) -> Result<Created> {
        let _changing = self.catalog.changing.lock().await;
        if let Some(number) = self.catalog.scope_number(scope)
            && let Some(machine) = self.catalog.machine(number, &new.name)
        {
            if machine.deleting {
                return Err(Error::StateMachineDeleting { arn: machine.arn });
            }
            let current = self.catalog.revision(number, machine.number, machine.revision)?;
            let row = &current.row;
            let same = *row.definition == *new.definition.text
                && row.express == (new.machine_type == MachineType::Express)
                && *row.logging == *new.configurations.logging
                && *row.tracing == *new.configurations.tracing
                && *row.encryption == *new.configurations.encryption
                && machine.published.as_ref().and_then(|published| published.created_with.clone()) == new.publish;
            return if same {
                let published = self.catalog.published(number, &new.name);
                let version = new.publish.and_then(|_| published.version_of(machine.revision));
                let version_arn = version.map(|(version, _)| versions::version_arn(&machine.arn, version));
                Ok(Created { arn: machine.arn, created_at: machine.created_at, version_arn })
            } else {
                Err(Error::StateMachineAlreadyExists { arn: machine.arn })
            };
        }
        let now = self.now();
        let mut commit = Commit::default();
        let number = self.catalog.intern_scope(scope, &mut commit);
        if let Some(limit) = self.options.quotas.state_machines
            && self.catalog.machines(number, "", limit).len() >= limit
        {
            return Err(Error::StateMachineLimitExceeded { limit });
        }
        let express = new.machine_type == MachineType::Express;
        let mut machine = MachineRow {
            number: self.catalog.number_machine(&mut commit),
            arn: new.arn.clone(),
            express,
            created_at: now,
            revision: INITIAL,
            deleting: false,
            published: new.publish.clone().map(|description| PublishedRow { next: 1, created_with: Some(description) }),
        };
        let none = Published::default();
        let publish = new.publish.map(|description| Publishing::of(&mut machine, &none, description, now));
        let publishing = publish.transpose()?;
        if let Some(publishing) = &publishing {
            publishing.put(number, &machine, &mut commit);
        }
        let revision = RevisionRow {
            machine_arn: new.arn.clone(),
            machine_name: new.name.clone(),
            express,
            machine_created_at: now,
            updated_at: now,
            id: None,
            definition: new.definition.text,
            role_arn: new.role_arn,
            logging: new.configurations.logging,
            tracing: new.configurations.tracing,
            encryption: new.configurations.encryption,
        };
        put_tags(number, Tagged::StateMachine, &new.arn, &new.name, &new.tags, &mut commit)?;
        put_machine(number, &new.name, &machine, &mut commit);
        put_revision(number, &machine, &revision, &mut commit);
        self.commit(commit).await?;
        self.catalog.scope_committed(scope, number);
        let cached = Revision::new(machine.number, INITIAL, revision, new.definition.compiled);
        self.catalog.cache_revision(number, Arc::new(cached));
        self.catalog.machine_committed(number, new.name.clone(), machine);
        let version_arn = publishing.map(|publishing| self.published(number, &new.name, &new.arn, publishing));
        Ok(Created { arn: new.arn, created_at: now, version_arn })
    }

    pub(crate) async fn update_state_machine(
        &self,
        scope: &Scope,
        arn: &str,
        update: StateMachineUpdate,
    ) -> Result<Updated> {
        let StateMachineUpdate { definition, role_arn, logging, tracing, encryption, publish } = update;
        if definition.is_none() && role_arn.is_none() && logging.is_none() && tracing.is_none() && encryption.is_none()
        {
            return Err(Error::MissingRequiredParameter);
        }
        let _changing = self.catalog.changing.lock().await;
        let (number, name, mut machine) = self.machine(scope, arn)?;
        if machine.deleting {
            return Err(Error::StateMachineDeleting { arn: arn.into() });
        }
        let current = self.catalog.revision(number, machine.number, machine.revision)?;
        let now = self.now();
        let old = &current.row;
        let text = definition.as_ref().map(|definition| definition.text.clone());
        let mut row = RevisionRow {
            definition: text.unwrap_or_else(|| old.definition.clone()),
            role_arn: role_arn.unwrap_or_else(|| old.role_arn.clone()),
            logging: logging.unwrap_or_else(|| old.logging.clone()),
            tracing: tracing.unwrap_or_else(|| old.tracing.clone()),
            encryption: encryption.unwrap_or_else(|| old.encryption.clone()),
            ..old.clone()
        };
        let mut commit = Commit::default();
        let changes = row != *old;
        if changes {
            row.updated_at = now;
            row.id = Some(self.uuid());
            machine.revision += 1;
            put_revision(number, &machine, &row, &mut commit);
        }
        let published = self.catalog.published(number, &name);
        let publish = publish.map(|description| Publishing::of(&mut machine, &published, description, now));
        let publishing = publish.transpose()?;
        if let Some(publishing) = publishing.as_ref().filter(|publishing| !publishing.existed) {
            publishing.put(number, &machine, &mut commit);
        } else if !changes {
            let version = publishing.map(|publishing| versions::version_arn(&machine.arn, publishing.number));
            return Ok(Updated { updated_at: now, revision_id: old.id.clone(), version_arn: version });
        }
        put_machine(number, &name, &machine, &mut commit);
        self.commit(commit).await?;
        let revision_id = row.id.clone();
        if changes {
            let compiled = definition.map_or_else(|| current.compiled.clone(), |definition| definition.compiled);
            let cached = Revision::new(machine.number, machine.revision, row, compiled);
            self.catalog.cache_revision(number, Arc::new(cached));
        }
        let arn = machine.arn.clone();
        self.catalog.machine_committed(number, name.clone(), machine);
        let version_arn = publishing.map(|publishing| self.published(number, &name, &arn, publishing));
        Ok(Updated { updated_at: now, revision_id, version_arn })
    }

    /// Enters a version that was committed: its ARN.
    fn published(&self, scope: ScopeNumber, name: &str, machine_arn: &str, publishing: Publishing) -> Arc<str> {
        let Publishing { number, row, .. } = publishing;
        self.catalog.published_committed(scope, name, |published| drop(published.versions.insert(number, row)));
        versions::version_arn(machine_arn, number)
    }

    pub(crate) async fn delete_state_machine(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _changing = self.catalog.changing.lock().await;
        let Ok((number, name, mut machine)) = self.machine(scope, arn) else { return Ok(()) };
        if machine.deleting {
            return Ok(());
        }
        machine.deleting = true;
        let mut commit = Commit::default();
        put_machine(number, &name, &machine, &mut commit);
        self.commit(commit).await?;
        self.catalog.machine_committed(number, name, machine);
        self.maintenance.wake();
        Ok(())
    }

    pub(crate) fn describe_state_machine(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (name, qualifier) = arn::machine_of(arn, scope).ok_or_else(missing)?;
        let (machine, resolved) = self.catalog.resolve(number, name, qualifier, 0).ok_or_else(missing)?;
        let revision = self.catalog.revision(number, machine.number, resolved.revision)?;
        let mut found = reads::state_machine(&revision, machine.deleting);
        if let Some(version) = resolved.version {
            let published = self.catalog.published(number, name);
            let version = published.versions.get(&version).ok_or_else(missing)?;
            found.created_at = version.created_at;
            found.description = version.description.clone();
        }
        Ok(found)
    }

    pub(crate) fn list_state_machines(&self, scope: &Scope, request: &PageRequest) -> Result<Page<StateMachineItem>> {
        let after = self.after_name(scope, b"machines", request)?;
        let limit = page::limit(request);
        let number = self.catalog.scope_number(scope);
        let found = number.map_or_else(Vec::new, |number| self.catalog.machines(number, &after, limit + 1));
        // One that is being deleted is not shown: its name is only not free yet.
        let next_token = self.next_name(scope, b"machines", found.iter().map(|(name, _)| &**name), limit);
        let items = found
            .into_iter()
            .take(limit)
            .filter(|(_, machine)| !machine.deleting)
            .map(|(name, machine)| StateMachineItem {
                arn: machine.arn,
                name,
                machine_type: if machine.express { MachineType::Express } else { MachineType::Standard },
                created_at: machine.created_at,
            })
            .collect();
        Ok(Page { items, next_token })
    }

    pub(crate) async fn create_activity(&self, scope: &Scope, new: NewActivity) -> Result<Created> {
        let _changing = self.catalog.changing.lock().await;
        if let Some(number) = self.catalog.scope_number(scope)
            && let Some(existing) = self.catalog.activity(number, &new.name)
        {
            return if *existing.encryption == *new.encryption {
                Ok(Created { arn: existing.arn, created_at: existing.created_at, version_arn: None })
            } else {
                Err(Error::ActivityAlreadyExists { arn: existing.arn })
            };
        }
        let mut commit = Commit::default();
        let number = self.catalog.intern_scope(scope, &mut commit);
        if let Some(limit) = self.options.quotas.activities
            && self.catalog.activities(number, "", limit).len() >= limit
        {
            return Err(Error::ActivityLimitExceeded { limit });
        }
        let row = ActivityRow { arn: new.arn.clone(), created_at: self.now(), encryption: new.encryption };
        put_tags(number, Tagged::Activity, &new.arn, &new.name, &new.tags, &mut commit)?;
        commit.put(Table::Activity, keys::named(number, &new.name), records::encode(&row));
        self.commit(commit).await?;
        let created = Created { arn: new.arn, created_at: row.created_at, version_arn: None };
        self.catalog.scope_committed(scope, number);
        self.catalog.activity_committed(number, new.name, row);
        Ok(created)
    }

    pub(crate) async fn delete_activity(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _changing = self.catalog.changing.lock().await;
        let Ok((number, name, row)) = self.activity(scope, arn) else { return Ok(()) };
        let mut commit = Commit::default();
        commit.delete(Table::Activity, keys::named(number, &name));
        commit.delete(Table::Tag, keys::tags(number, Tagged::Activity, &name));
        self.commit(commit).await?;
        self.catalog.activity_gone(number, &name);
        self.activities.deleted(&row.arn);
        Ok(())
    }

    pub(crate) fn describe_activity(&self, scope: &Scope, arn: &str) -> Result<Activity> {
        let (_, name, row) = self.activity(scope, arn)?;
        Ok(Activity { arn: row.arn, name, created_at: row.created_at, encryption: row.encryption })
    }

    pub(crate) fn list_activities(&self, scope: &Scope, request: &PageRequest) -> Result<Page<Activity>> {
        let after = self.after_name(scope, b"activities", request)?;
        let limit = page::limit(request);
        let number = self.catalog.scope_number(scope);
        let found = number.map_or_else(Vec::new, |number| self.catalog.activities(number, &after, limit + 1));
        let next_token = self.next_name(scope, b"activities", found.iter().map(|(name, _)| &**name), limit);
        let items = found
            .into_iter()
            .take(limit)
            .map(|(name, row)| Activity { arn: row.arn, name, created_at: row.created_at, encryption: row.encryption })
            .collect();
        Ok(Page { items, next_token })
    }

    pub(crate) async fn tag_resource(&self, scope: &Scope, arn: &str, tags: Vec<Tag>) -> Result<()> {
        self.change_tags(scope, arn, |row| {
            for Tag { key, value } in tags {
                match row.tags.iter_mut().find(|(existing, _)| *existing == key) {
                    Some((_, existing)) => *existing = value,
                    None => row.tags.push((key, value)),
                }
            }
        })
        .await
    }

    pub(crate) async fn untag_resource(&self, scope: &Scope, arn: &str, keys: Vec<Arc<str>>) -> Result<()> {
        self.change_tags(scope, arn, |row| row.tags.retain(|(key, _)| !keys.contains(key))).await
    }

    pub(crate) fn list_tags(&self, scope: &Scope, arn: &str) -> Result<Vec<Tag>> {
        let key = self.tags_key(scope, arn)?;
        let row = catalog::tags(&*self.store, &key)?;
        Ok(row.tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
    }

    async fn change_tags(&self, scope: &Scope, arn: &str, change: impl FnOnce(&mut TagsRow)) -> Result<()> {
        let _changing = self.catalog.changing.lock().await;
        let key = self.tags_key(scope, arn)?;
        let old = catalog::tags(&*self.store, &key)?;
        let mut row = old.clone();
        change(&mut row);
        row.tags.sort();
        if row.tags.len() > MAX_TAGS {
            return Err(Error::TooManyTags { arn: arn.into(), limit: MAX_TAGS });
        }
        if row == old {
            return Ok(());
        }
        let mut commit = Commit::default();
        commit.put(Table::Tag, key, records::encode(&row));
        self.commit(commit).await
    }

    fn tags_key(&self, scope: &Scope, arn: &str) -> Result<Vec<u8>> {
        if let Ok((number, name, _)) = self.machine(scope, arn) {
            return Ok(keys::tags(number, Tagged::StateMachine, &name));
        }
        match self.activity(scope, arn) {
            Ok((number, name, _)) => Ok(keys::tags(number, Tagged::Activity, &name)),
            Err(_) => Err(Error::ResourceNotFound { arn: arn.into() }),
        }
    }

    /// The machine with an unqualified ARN.
    pub(crate) fn machine(&self, scope: &Scope, arn: &str) -> Result<(ScopeNumber, Arc<str>, MachineRow)> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let name = arn::name_of(arn, scope, "stateMachine").ok_or_else(missing)?;
        let row = self.catalog.machine(number, name).ok_or_else(missing)?;
        Ok((number, name.into(), row))
    }

    /// The activity with an ARN.
    pub(crate) fn activity(&self, scope: &Scope, arn: &str) -> Result<(ScopeNumber, Arc<str>, ActivityRow)> {
        let missing = || Error::ActivityDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let name = arn::name_of(arn, scope, "activity").ok_or_else(missing)?;
        let row = self.catalog.activity(number, name).ok_or_else(missing)?;
        Ok((number, name.into(), row))
    }

    /// Whether an activity exists, in the scope that its ARN names.
    pub(crate) fn knows_activity(&self, arn: &str) -> bool {
        let Some(parts) = arn::parts(arn) else { return false };
        self.activity(&Scope::new(parts.account, parts.region), arn).is_ok()
    }

    /// The name after which a page begins.
    fn after_name(&self, scope: &Scope, list: &[u8], request: &PageRequest) -> Result<String> {
        let Some(token) = &request.next_token else { return Ok(String::new()) };
        let binding: &[&[u8]] = &[list, scope.account.as_bytes(), scope.region.as_bytes()];
        let position = page::open(&self.secrets, binding, token, self.now())?;
        String::from_utf8(position).map_err(|_| Error::InvalidPageToken)
    }

    /// The token for what follows the first `limit` of these names, if something does.
    fn next_name<'a>(
        &self,
        scope: &Scope,
        list: &[u8],
        names: impl ExactSizeIterator<Item = &'a str>,
        limit: usize,
    ) -> Option<String> {
        let binding: &[&[u8]] = &[list, scope.account.as_bytes(), scope.region.as_bytes()];
        let more = names.len() > limit;
        let last = names.take(limit).last().filter(|_| more)?;
        Some(page::issue(&self.secrets, binding, last.as_bytes(), self.now()))
    }

    fn uuid(&self) -> Arc<str> {
        let bytes = (u128::from(self.seed()) << 64) | u128::from(self.seed());
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid().to_string().into()
    }
}

pub(crate) fn put_machine(scope: ScopeNumber, name: &str, row: &MachineRow, commit: &mut Commit) {
    commit.put(Table::Machine, keys::named(scope, name), records::encode(row));
}

fn put_revision(scope: ScopeNumber, machine: &MachineRow, row: &RevisionRow, commit: &mut Commit) {
    let key = keys::revision(scope, machine.number, machine.revision);
    commit.put(Table::Revision, key, records::encode(row));
}

fn put_tags(
    scope: ScopeNumber,
    kind: Tagged,
    arn: &Arc<str>,
    name: &str,
    tags: &[Tag],
    commit: &mut Commit,
) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::TooManyTags { arn: arn.clone(), limit: MAX_TAGS });
    }
    if !tags.is_empty() {
        let mut row = TagsRow { tags: tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect() };
        row.tags.sort();
        commit.put(Table::Tag, keys::tags(scope, kind, name), records::encode(&row));
    }
    Ok(())
}
