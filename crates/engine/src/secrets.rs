//! The store's master key and what is derived from it. Keys never leave the process and are never logged.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use stepwright_machine::ExecutionId;
use stepwright_store::{
    Commit, Store, Table,
    keys::{self, MetaKey},
    records::{self, MetaRow},
};

use crate::{clock::SeedSource, error::Result};

/// Keys derived from the store's master key.
#[derive(Clone)]
pub(crate) struct Secrets {
    master: [u8; 32],
}

impl Secrets {
    /// The store's master key, made at the first opening.
    pub(crate) fn open(store: &dyn Store, seeds: &dyn SeedSource) -> Result<Self> {
        let key = keys::meta(MetaKey::MasterKey);
        if let Some(bytes) = store.get(Table::Meta, &key)?
            && let MetaRow::Secret(master) = records::decode(Table::Meta, &bytes)?
        {
            return Ok(Self { master });
        }
        let mut master = [0; 32];
        for part in master.chunks_mut(8) {
            part.copy_from_slice(&seeds.next().to_be_bytes());
        }
        let mut commit = Commit::default();
        commit.put(Table::Meta, key, records::encode(&MetaRow::Secret(master)));
        store.commit(&[commit])?;
        Ok(Self { master })
    }

    /// Keys derived from this master key.
    pub(crate) fn of(master: [u8; 32]) -> Self {
        Self { master }
    }

    /// The store's master key, if it has one.
    pub(crate) fn read(store: &dyn Store) -> Result<Option<Self>> {
        let row = store.get(Table::Meta, &keys::meta(MetaKey::MasterKey))?;
        Ok(row.and_then(|bytes| match records::decode(Table::Meta, &bytes) {
            Ok(MetaRow::Secret(master)) => Some(Self { master }),
            _ => None,
        }))
    }

    fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.master).expect("HMAC takes a key of any length");
        for part in parts {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The key of an execution's task tokens.
    pub(crate) fn token_key(&self, id: ExecutionId) -> [u8; 32] {
        self.code(&[b"task", &id.to_bytes()])
    }

    /// A code over a page token.
    pub(crate) fn page_code(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut all: Vec<&[u8]> = vec![b"page"];
        all.extend(parts);
        half(self.code(&all))
    }
}

fn half(full: [u8; 32]) -> [u8; 16] {
    full[..16].try_into().expect("half of 32 bytes")
}

/// The first half of the SHA-256 of a text.
pub(crate) fn short_hash(text: &str) -> [u8; 16] {
    half(Sha256::digest(text.as_bytes()).into())
}

/// The partition of an execution: who owns it is decided by its machine and name alone.
pub(crate) fn partition(machine_arn: &str, name: &str) -> u16 {
    let mut hash = Sha256::new();
    hash.update(machine_arn.as_bytes());
    hash.update([0]);
    hash.update(name.as_bytes());
    let digest = hash.finalize();
    u16::from_be_bytes([digest[0], digest[1]])
}
