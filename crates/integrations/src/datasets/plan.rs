//! What a plan asks for: the parameters of its call, and what the objects hold.

use std::sync::Arc;

use serde_json::Value;
use stepwright_items::Format;
use stepwright_machine::map_run::{self, ManifestType, ReadAction, ReadPlan};

use crate::objects::{ListQuery, Object, ObjectError};

/// Where items come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// One file.
    File(Object, FileFormat),
    /// The files of an S3 inventory.
    Inventory(Object),
    /// The files of an Athena query.
    Athena(Object, FileFormat),
    /// The objects of a list themselves.
    Entries(ListQuery, Option<String>),
    /// What the objects of a list hold.
    Files(ListQuery, Option<String>, FileFormat),
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) enum FileFormat {
    /// Text.
    Text(Format),
    /// Rows in a binary form.
    Parquet,
}

/// The parameters of a call.
pub(super) struct Parameters(serde_json::Map<String, Value>);

impl Parameters {
    pub(super) fn read(text: &str) -> Result<Self, ObjectError> {
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(ObjectError("The parameters of the call are no JSON object.".to_owned())),
        }
    }

    /// A parameter that is text, if it is given.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, ObjectError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(ObjectError(format!("The parameter '{name}' must be a string, not {other}."))),
        }
    }

    /// A parameter that must be given.
    pub(super) fn required(&self, name: &str) -> Result<&str, ObjectError> {
        self.optional(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| ObjectError(format!("The required parameter '{name}' is missing.")))
    }
}

impl Source {
    pub(super) fn of(plan: &ReadPlan) -> Result<Self, ObjectError> {
        let parameters = Parameters::read(&plan.parameters)?;
        let bucket = || parameters.required("Bucket").map(Arc::<str>::from);
        let owner = parameters.optional("ExpectedBucketOwner")?.map(Arc::from);
        if plan.action == ReadAction::ListObjects {
            let prefix = parameters.optional("Prefix")?.unwrap_or_default().into();
            let query = ListQuery { bucket: bucket()?, prefix, owner };
            let after = parameters.optional("StartAfter")?.map(str::to_owned);
            return Ok(match (plan.loads_and_flattens, plan.format) {
                (false, _) => Self::Entries(query, after),
                (true, Some(map_run::Format::Manifest)) => {
                    return Err(ObjectError("LOAD_AND_FLATTEN reads no manifests.".to_owned()));
                }
                (true, format) => Self::Files(query, after, file_format(plan, format)?),
            });
        }
        let version = parameters.optional("VersionId")?.map(Arc::from);
        let object = Object { bucket: bucket()?, key: parameters.required("Key")?.into(), version, owner };
        Ok(match (plan.manifest, plan.format) {
            (ManifestType::AthenaData, format) => {
                let format = format.filter(|format| *format != map_run::Format::Manifest);
                Self::Athena(object, file_format(plan, Some(format.unwrap_or(map_run::Format::Csv)))?)
            }
            (ManifestType::S3Inventory, Some(map_run::Format::Manifest)) => Self::Inventory(object),
            (ManifestType::S3Inventory, format) => Self::File(object, file_format(plan, format)?),
        })
    }
}

fn file_format(plan: &ReadPlan, format: Option<map_run::Format>) -> Result<FileFormat, ObjectError> {
    Ok(FileFormat::Text(match format {
        Some(map_run::Format::Parquet) => return Ok(FileFormat::Parquet),
        None | Some(map_run::Format::Json | map_run::Format::Manifest) => {
            Format::Json { pointer: plan.items_pointer.clone() }
        }
        Some(map_run::Format::JsonLines) => Format::JsonLines,
        Some(map_run::Format::Csv) => Format::Csv { headers: plan.csv_headers.clone(), delimiter: delimiter(plan)? },
    }))
}

fn delimiter(plan: &ReadPlan) -> Result<u8, ObjectError> {
    u8::try_from(plan.csv_delimiter)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| ObjectError(format!("{:?} can't stand between fields.", plan.csv_delimiter)))
}
