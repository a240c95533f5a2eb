//! Versions and aliases of state machines: numbers for revisions, and names for numbers. Each change is one commit,
//! made while nobody else changes the catalog; executions keep what they were started with.

use std::sync::Arc;

use stepwright_machine::Millis;
use stepwright_store::{
    Commit, Table,
    keys::{self, ScopeNumber, VersionNumber},
    records::{self, AliasRow, MachineRow, PublishedRow, VersionRow},
};

use crate::{
    arn::{self, Qualifier},
    catalog::Published,
    error::{Error, Result},
    machines::put_machine,
    model::{Alias, AliasUpdate, Created, NewAlias, Page, PageRequest, Publication, Route, Scope},
    page,
    shared::Shared,
};

/// Versions of one machine at most.
const MAX_VERSIONS: usize = 1_000;
/// Aliases of one machine at most.
const MAX_ALIASES: usize = 100;

/// A machine of which something is published.
struct Owner {
    scope: ScopeNumber,
    name: Arc<str>,
    row: MachineRow,
    published: Published,
}

/// A revision that becomes a version, or is one already.
pub(crate) struct Publishing {
    pub(crate) number: VersionNumber,
    pub(crate) row: VersionRow,
    /// Whether it was one before.
    pub(crate) existed: bool,
}

impl Publishing {
    /// Publishes the revision in force of `machine`, whose row it changes and does not write.
    ///
    /// # Errors
    /// `VersionConflict`, `TooManyVersions`.
    pub(crate) fn of(
        machine: &mut MachineRow,
        published: &Published,
        description: Option<Arc<str>>,
        now: Millis,
    ) -> Result<Self> {
        if let Some((number, row)) = published.version_of(machine.revision) {
            if description.is_some() && description != row.description {
                return Err(Error::VersionConflict { version: version_arn(&machine.arn, number) });
            }
            return Ok(Self { number, row: row.clone(), existed: true });
        }
        if published.versions.len() >= MAX_VERSIONS {
            return Err(Error::TooManyVersions { arn: machine.arn.clone(), limit: MAX_VERSIONS });
        }
        let remembered = machine.published.get_or_insert(PublishedRow { next: 1, created_with: None });
        let number = remembered.next;
        remembered.next += 1;
        let row = VersionRow { revision: machine.revision, created_at: now, description };
        Ok(Self { number, row, existed: false })
    }

    pub(crate) fn put(&self, scope: ScopeNumber, machine: &MachineRow, commit: &mut Commit) {
        commit.put(Table::Version, keys::version(scope, machine.number, self.number), records::encode(&self.row));
    }
}

/// The ARN of a version.
pub(crate) fn version_arn(machine_arn: &str, version: VersionNumber) -> Arc<str> {
    format!("{machine_arn}:{version}").into()
}

fn alias_arn(machine_arn: &str, name: &str) -> Arc<str> {
    format!("{machine_arn}:{name}").into()
}

impl Shared {
    pub(crate) async fn publish_version(&self, scope: &Scope, arn: &str, publication: Publication) -> Result<Created> {
        let _changing = self.catalog.changing.lock().await;
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        if arn::name_of(arn, scope, "stateMachine").is_none() {
            return Err(missing());
        }
        let Owner { scope, name, mut row, published } = self.owner(scope, arn).ok_or_else(missing)?;
        check_active(&row)?;
        let current = self.catalog.revision(scope, row.number, row.revision)?;
        if let Some(given) = publication.revision_id
            && &*given != current.row.id.as_deref().unwrap_or_default()
        {
            return Err(Error::RevisionConflict { given, current: current.row.id.clone() });
        }
        let publishing = Publishing::of(&mut row, &published, publication.description, self.now())?;
        let version_arn = version_arn(&row.arn, publishing.number);
        let created = Created { arn: version_arn, created_at: publishing.row.created_at, version_arn: None };
        if publishing.existed {
            return Ok(created);
        }
        let mut commit = Commit::default();
        put_machine(scope, &name, &row, &mut commit);
        publishing.put(scope, &row, &mut commit);
        self.commit(commit).await?;
        self.catalog.machine_committed(scope, name.clone(), row);
        let Publishing { number, row, .. } = publishing;
        self.catalog.published_committed(scope, &name, |published| drop(published.versions.insert(number, row)));
        Ok(created)
    }

    pub(crate) async fn delete_version(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _changing = self.catalog.changing.lock().await;
        let Some((_, Some(Qualifier::Version(number)))) = arn::machine_of(arn, scope) else { return Ok(()) };
        let Some(Owner { scope, name, row, published }) = self.owner(scope, arn) else { return Ok(()) };
        if !published.versions.contains_key(&number) {
            return Ok(());
        }
        let aliases: Vec<Arc<str>> = published.aliases_to(number).cloned().collect();
        if !aliases.is_empty() {
            return Err(Error::VersionInUse { aliases });
        }
        let mut commit = Commit::default();
        commit.delete(Table::Version, keys::version(scope, row.number, number));
        self.commit(commit).await?;
        self.catalog.published_committed(scope, &name, |published| drop(published.versions.remove(&number)));
        Ok(())
    }

    pub(crate) fn list_versions(&self, scope: &Scope, arn: &str, request: &PageRequest) -> Result<Page<Created>> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        let owner = self.owner(scope, arn).filter(|owner| *owner.row.arn == *arn).ok_or_else(missing)?;
        let binding: &[&[u8]] = &[b"versions", arn.as_bytes()];
        let before = match &request.next_token {
            None => VersionNumber::MAX,
            Some(token) => {
                let position = page::open(&self.secrets, binding, token, self.now())?;
                VersionNumber::from_be_bytes(position.try_into().map_err(|_| Error::InvalidPageToken)?)
            }
        };
        let limit = page::limit(request);
        let found: Vec<_> = owner.published.versions.range(..before).rev().take(limit + 1).collect();
        let last = found.get(limit - 1).filter(|_| found.len() > limit);
        let next_token = last.map(|(number, _)| page::issue(&self.secrets, binding, &number.to_be_bytes(), self.now()));
        let items = found.into_iter().take(limit).map(|(number, row)| Created {
            arn: version_arn(&owner.row.arn, *number),
            created_at: row.created_at,
            version_arn: None,
        });
        Ok(Page { items: items.collect(), next_token })
    }

    pub(crate) async fn create_alias(&self, scope: &Scope, new: NewAlias) -> Result<Created> {
        let _changing = self.catalog.changing.lock().await;
        let (owner, routes) = self.routes(scope, &new.routes)?;
        let Owner { scope, name, row, published } = owner;
        check_active(&row)?;
        let arn = alias_arn(&row.arn, &new.name);
        if let Some(existing) = published.aliases.get(&new.name) {
            return if existing.routes == routes && existing.description == new.description {
                Ok(Created { arn, created_at: existing.created_at, version_arn: None })
            } else {
                Err(Error::AliasConflict { arn })
            };
        }
        if published.aliases.len() >= MAX_ALIASES {
            return Err(Error::TooManyAliases { arn: row.arn, limit: MAX_ALIASES });
        }
        let now = self.now();
        let alias = AliasRow { created_at: now, updated_at: now, description: new.description, routes };
        self.put_alias(scope, &name, &row, new.name, alias).await?;
        Ok(Created { arn, created_at: now, version_arn: None })
    }

    pub(crate) async fn update_alias(&self, scope: &Scope, arn: &str, update: AliasUpdate) -> Result<Millis> {
        let _changing = self.catalog.changing.lock().await;
        let (owner, alias, mut changed) = self.alias(scope, arn)?;
        check_active(&owner.row)?;
        if let Some(routes) = update.routes {
            let (of, routes) = self.routes(scope, &routes)?;
            if of.row.number != owner.row.number {
                let arn = version_arn(&of.row.arn, routes[0].0);
                return Err(Error::ResourceNotFound { arn });
            }
            changed.routes = routes;
        }
        if update.description.is_some() {
            changed.description = update.description;
        }
        changed.updated_at = self.now();
        let updated_at = changed.updated_at;
        self.put_alias(owner.scope, &owner.name, &owner.row, alias, changed).await?;
        Ok(updated_at)
    }

    pub(crate) fn describe_alias(&self, scope: &Scope, arn: &str) -> Result<Alias> {
        let (owner, name, row) = self.alias(scope, arn)?;
        let routes = row
            .routes
            .iter()
            .map(|(version, weight)| Route { version_arn: version_arn(&owner.row.arn, *version), weight: *weight });
        Ok(Alias {
            arn: alias_arn(&owner.row.arn, &name),
            routes: routes.collect(),
            name,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    pub(crate) async fn delete_alias(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _changing = self.catalog.changing.lock().await;
        let Ok((owner, name, _)) = self.alias(scope, arn) else { return Ok(()) };
        let mut commit = Commit::default();
        commit.delete(Table::Alias, keys::alias(owner.scope, owner.row.number, &name));
        self.commit(commit).await?;
        self.catalog.published_committed(owner.scope, &owner.name, |published| drop(published.aliases.remove(&name)));
        Ok(())
    }

    pub(crate) fn list_aliases(&self, scope: &Scope, arn: &str, request: &PageRequest) -> Result<Page<Created>> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        let (_, qualifier) = arn::machine_of(arn, scope).ok_or_else(missing)?;
        let owner = self.owner(scope, arn).ok_or_else(missing)?;
        let routed = |row: &AliasRow| match qualifier {
            None => true,
            Some(Qualifier::Version(version)) => row.routes.iter().any(|(to, _)| *to == version),
            Some(Qualifier::Alias(_)) => false,
        };
        if let Some(Qualifier::Version(version)) = qualifier
            && !owner.published.versions.contains_key(&version)
        {
            return Err(missing());
        }
        let binding: &[&[u8]] = &[b"aliases", arn.as_bytes()];
        let after = match &request.next_token {
            None => String::new(),
            Some(token) => String::from_utf8(page::open(&self.secrets, binding, token, self.now())?)
                .map_err(|_| Error::InvalidPageToken)?,
        };
        let limit = page::limit(request);
        let aliases = owner.published.aliases.iter().filter(|(name, row)| ***name > *after && routed(row));
        let found: Vec<_> = aliases.take(limit + 1).collect();
        let last = found.get(limit - 1).filter(|_| found.len() > limit);
        let next_token = last.map(|(name, _)| page::issue(&self.secrets, binding, name.as_bytes(), self.now()));
        let items = found.into_iter().take(limit).map(|(name, row)| Created {
            arn: alias_arn(&owner.row.arn, name),
            created_at: row.created_at,
            version_arn: None,
        });
        Ok(Page { items: items.collect(), next_token })
    }

    /// The machine that a qualified or unqualified ARN is about.
    fn owner(&self, scope: &Scope, arn: &str) -> Option<Owner> {
        let (name, _) = arn::machine_of(arn, scope)?;
        let scope = self.catalog.scope_number(scope)?;
        let row = self.catalog.machine(scope, name)?;
        Some(Owner { scope, published: self.catalog.published(scope, name), name: name.into(), row })
    }

    fn alias(&self, scope: &Scope, arn: &str) -> Result<(Owner, Arc<str>, AliasRow)> {
        let missing = || Error::AliasDoesNotExist { arn: arn.into() };
        let Some((_, Some(Qualifier::Alias(name)))) = arn::machine_of(arn, scope) else { return Err(missing()) };
        let owner = self.owner(scope, arn).ok_or_else(missing)?;
        let (name, row) = owner.published.aliases.get_key_value(name).ok_or_else(missing)?;
        let (name, row) = (name.clone(), row.clone());
        Ok((owner, name, row))
    }

    /// The machine whose versions these are, and their numbers.
    fn routes(&self, scope: &Scope, routes: &[Route]) -> Result<(Owner, Vec<(VersionNumber, u8)>)> {
        let mut found = None;
        let mut numbers = Vec::with_capacity(routes.len());
        for Route { version_arn, weight } in routes {
            let missing = || Error::ResourceNotFound { arn: version_arn.clone() };
            let Some((_, Some(Qualifier::Version(number)))) = arn::machine_of(version_arn, scope) else {
                return Err(missing());
            };
            let owner = self.owner(scope, version_arn).ok_or_else(missing)?;
            let same = found.as_ref().is_none_or(|found: &Owner| found.row.number == owner.row.number);
            if !same || !owner.published.versions.contains_key(&number) {
                return Err(missing());
            }
            numbers.push((number, *weight));
            found.get_or_insert(owner);
        }
        let owner = found.ok_or_else(|| Error::ResourceNotFound { arn: "".into() })?;
        Ok((owner, numbers))
    }

    async fn put_alias(
        &self,
        scope: ScopeNumber,
        machine_name: &str,
        machine: &MachineRow,
        name: Arc<str>,
        row: AliasRow,
    ) -> Result<()> {
        let mut commit = Commit::default();
        commit.put(Table::Alias, keys::alias(scope, machine.number, &name), records::encode(&row));
        self.commit(commit).await?;
        self.catalog.published_committed(scope, machine_name, |published| drop(published.aliases.insert(name, row)));
        Ok(())
    }
}

fn check_active(machine: &MachineRow) -> Result<()> {
    if machine.deleting { Err(Error::StateMachineDeleting { arn: machine.arn.clone() }) } else { Ok(()) }
}
