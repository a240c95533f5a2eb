//! The pack of service models that is part of the binary: `models/services.pack`, made by
//! `cargo xtask codegen --services`.
//!
//! Layout: eight bytes of name and version, the length of the index (four bytes, little-endian), the index, the parts.
//! Index and parts are compressed by zlib, each by itself, so that a service is read without the others. The index
//! says where each part is, counted from its own end, and how long it will be.
//!
//! The pack is part of the program: what is wrong with it is found by a test, and a service whose part can't be read
//! is no service.

use std::{
    collections::HashMap,
    io::Read as _,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use flate2::read::ZlibDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::{ServiceModel, names, read};

/// Models that are kept after their last use. The largest takes some megabytes, most take less than one.
pub const KEPT: usize = 32;

const MAGIC: &[u8; 8] = b"SWPACK01";

static BYTES: &[u8] = include_bytes!("../../models/services.pack");

/// The pack.
#[derive(Debug)]
pub struct Pack {
    parts: &'static [u8],
    source: String,
    services: HashMap<String, Entry>,
    rules: Vec<Part>,
    partitions: Part,
    held: Mutex<Held>,
}

/// The models in memory, and when each was last asked for.
#[derive(Debug, Default)]
struct Held {
    clock: u64,
    models: HashMap<String, (u64, Arc<ServiceModel>)>,
}

#[derive(Deserialize)]
struct Index {
    source: String,
    services: Vec<Entry>,
    rules: Vec<Part>,
    partitions: Part,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    id: String,
    rules: usize,
    #[serde(flatten)]
    part: Part,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Part {
    offset: usize,
    length: usize,
    size: usize,
}

impl Pack {
    /// The one that is part of this binary. Its index is read at the first call.
    ///
    /// # Panics
    /// The binary was built with a file that is no pack.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static PACK: OnceLock<Pack> = OnceLock::new();
        PACK.get_or_init(|| Self::open(BYTES).expect("models/services.pack is a pack"))
    }

    fn open(bytes: &'static [u8]) -> Result<Self, String> {
        let short = || "the pack is too short".to_owned();
        let rest = bytes.strip_prefix(MAGIC).ok_or("these bytes are no pack of this version")?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (index, parts) = rest.split_at_checked(length).ok_or_else(short)?;
        // The index is a few dozen kilobytes.
        let index = inflate(index, 1 << 20)?;
        let index: Index = serde_json::from_slice(&index).map_err(|error| error.to_string())?;
        let services = index.services.into_iter().map(|entry| (names::service(&entry.id), entry)).collect();
        let held = Mutex::default();
        Ok(Self { parts, source: index.source, services, rules: index.rules, partitions: index.partitions, held })
    }

    /// Where the models come from: `botocore 1.44.5`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of all services, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The names of all services with their ids, `secretsmanager` with `Secrets Manager`, in no order.
    pub fn ids(&self) -> impl Iterator<Item = (&str, &str)> {
        self.services.iter().map(|(name, entry)| (name.as_str(), entry.id.as_str()))
    }

    /// Whether there is such a service; reads no model.
    #[must_use]
    pub fn has_service(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    /// The model of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Arc<ServiceModel>> {
        let entry = self.services.get(name)?;
        if let Some(model) = self.held(|held| held.touch(name)) {
            return Some(model);
        }
        // Outside the lock: two that read the same model at once waste a few milliseconds and no more.
        let model = match self.part(entry.part).and_then(|json| read::model(&json, entry.rules)) {
            Ok(model) => Arc::new(model),
            Err(problem) => {
                tracing::error!(service = name, problem, "a service's model can't be read");
                return None;
            }
        };
        Some(self.held(|held| held.keep(name, model)))
    }

    /// The model of a service, if it is in memory.
    #[must_use]
    pub fn held_service(&self, name: &str) -> Option<Arc<ServiceModel>> {
        self.held(|held| held.touch(name))
    }

    /// The rules by which endpoints are found, JSON.
    #[must_use]
    pub fn rules(&self, number: usize) -> Option<Value> {
        self.json(*self.rules.get(number)?)
    }

    /// The table of partitions, JSON.
    #[must_use]
    pub fn partitions(&self) -> Option<Value> {
        self.json(self.partitions)
    }

    fn json(&self, part: Part) -> Option<Value> {
        serde_json::from_slice(&self.part(part).ok()?).ok()
    }

    fn part(&self, part: Part) -> Result<Vec<u8>, String> {
        let end = part.offset.checked_add(part.length);
        let bytes = end.and_then(|end| self.parts.get(part.offset..end)).ok_or("the pack is too short")?;
        inflate(bytes, part.size)
    }

    fn held<T>(&self, action: impl FnOnce(&mut Held) -> T) -> T {
        // Every change is complete before anything can panic, so a poisoned lock guards good data.
        action(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn touch(&mut self, name: &str) -> Option<Arc<ServiceModel>> {
        self.clock += 1;
        let (used, model) = self.models.get_mut(name)?;
        *used = self.clock;
        Some(Arc::clone(model))
    }

    fn keep(&mut self, name: &str, model: Arc<ServiceModel>) -> Arc<ServiceModel> {
        self.clock += 1;
        if self.models.len() >= KEPT && !self.models.contains_key(name) {
            let oldest = self.models.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.models.remove(&oldest));
        }
        Arc::clone(&self.models.entry(name.to_owned()).or_insert((self.clock, model)).1)
    }
}

fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(most.min(4 << 20));
    ZlibDecoder::new(bytes).take(most as u64).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Protocol};

    #[test]
    fn every_model_can_be_read() {
        let pack = Pack::embedded();
        let mut operations = 0;
        for name in pack.names() {
            let entry = &pack.services[name];
            let json = pack.part(entry.part).expect(name);
            assert_eq!(json.len(), entry.part.size, "{name}");
            let model = read::model(&json, entry.rules).expect(name);
            assert_eq!(&*model.name, name);
            assert!(!model.operations().is_empty(), "{name}");
            assert!(pack.rules(model.rules).is_some_and(|rules| rules.is_object()), "{name}");
            for operation in model.operations() {
                let found = model.operation(&operation.action).expect("every operation is found by its action");
                assert_eq!(found.name, operation.name, "{name}");
                for body in [&operation.input, &operation.output].into_iter().flatten() {
                    assert!(matches!(model.shape(body.shape).kind, Kind::Structure(_)), "{name} {}", operation.name);
                }
                operations += 1;
            }
        }
        assert!(pack.partitions().is_some_and(|partitions| partitions["partitions"].is_array()));
        assert!(pack.names().count() > 400, "{}", pack.names().count());
        assert!(operations > 19_000, "{operations}");
    }

    #[test]
    fn services_are_found_by_the_names_of_resources() {
        let check = |name: &str, id: &str, protocol, action: &str| {
            let model = Pack::embedded().service(name).expect(name);
            assert_eq!((&*model.id, model.protocol), (id, protocol));
            assert!(model.operation(action).is_some(), "{name}:{action}");
        };
        check("sfn", "SFN", Protocol::Json, "startSyncExecution");
        check("s3", "S3", Protocol::RestXml, "listObjectsV2");
        check("dynamodb", "DynamoDB", Protocol::Json, "transactWriteItems");
        check("secretsmanager", "Secrets Manager", Protocol::Json, "getSecretValue");
        check("eventbridge", "EventBridge", Protocol::Json, "putEvents");
        check("cloudwatch", "CloudWatch", Protocol::Json, "putMetricData");
        check("eventbridgev2", "EventBridgeV2", Protocol::Cbor, "createEventBus");
        check("ec2", "EC2", Protocol::Ec2, "describeInstances");
        check("iam", "IAM", Protocol::Query, "listMFADevices");
        check("lambda", "Lambda", Protocol::RestJson, "invoke");
        assert!(Pack::embedded().service("nonsense").is_none());
        assert!(!Pack::embedded().has_service("S3"));
    }

    #[test]
    fn only_so_many_models_are_kept() {
        let pack = Pack::open(BYTES).expect("a pack");
        let mut names: Vec<&str> = pack.names().collect();
        names.sort_unstable();
        let first = pack.service(names[0]).expect("a model");
        for name in &names[1..KEPT] {
            pack.service(name).expect("a model");
        }
        assert!(Arc::ptr_eq(&first, &pack.service(names[0]).expect("a model")), "it is kept");
        pack.service(names[KEPT]).expect("a model");
        let held = pack.held(|held| held.models.keys().cloned().collect::<Vec<_>>());
        assert_eq!(held.len(), KEPT);
        assert!(held.iter().any(|name| name == names[0]), "it was asked for since");
        assert!(!held.iter().any(|name| name == names[1]), "the one asked for longest ago went");
    }

    #[test]
    fn bytes_that_are_no_pack_are_refused() {
        for bytes in [b"".as_slice(), b"SWPACK00", b"SWPACK01", b"SWPACK01\xff\xff\xff\xff", b"SWPACK01\x01\0\0\0x"] {
            assert!(Pack::open(bytes).is_err(), "{bytes:?}");
        }
    }
}
