use bucketdb_documents::row::{self, Keep, RowError};
use bucketdb_documents::{Layouts, Schema};
use bytes::Bytes;

use crate::Document;

/// A document of an earlier version of its table's schema, for the step of a program that makes one of a newer version of
/// it: see [`Document::from_earlier`].
#[derive(Debug)]
pub struct EarlierDocument<'a> {
    row: &'a Bytes,
    layouts: &'a Layouts,
}

impl EarlierDocument<'_> {
    /// The version that it was written under.
    #[must_use]
    pub fn version(&self) -> u32 {
        row::schema_version(self.row).unwrap_or_default()
    }

    /// The document as the type of an earlier version. If it is older still, steps lead there too.
    ///
    /// # Errors
    /// If it has not the shape of the type.
    pub fn read<T: Document>(&self) -> Result<T, RowError> {
        let (written, wanted) = (self.version(), T::schema().version());
        if T::HAS_STEP && written < wanted {
            return T::from_earlier(self);
        }
        // What is registered nowhere is read as it stands there.
        let version = if self.layouts.has_version(wanted) { wanted } else { written };
        let layouts = self.layouts.for_version(version);
        check_reachable(written, &layouts)?;
        row::decode(self.row, &layouts)
    }
}

/// Makes a row of an earlier version one of the version of the layouts.
pub(crate) type Step = fn(&Bytes, &Layouts) -> Result<Bytes, RowError>;

/// The step of a type, if it has one.
pub(crate) fn step_of<T: Document>() -> Option<Step> {
    T::HAS_STEP.then_some(step::<T> as Step)
}

fn step<T: Document>(row: &Bytes, layouts: &Layouts) -> Result<Bytes, RowError> {
    let document = T::from_earlier(&EarlierDocument { row, layouts })?;
    let newer = row::encode(&document, layouts)?;
    let kept = row::keep(&newer, row, layouts, Keep::Undeclared)?;
    Ok(kept.unwrap_or(newer))
}

/// Whether a document reads as one of the version of the layouts without a program's own step.
///
/// # Errors
/// If it does not.
pub(crate) fn check_reachable(written: u32, layouts: &Layouts) -> Result<(), RowError> {
    match layouts.step_between(written, layouts.version()) {
        None => Ok(()),
        Some(step) => Err(RowError::new(format!(
            "it was written under version {written} of the schema, and only a program's own step makes it one of version {step}"
        ))),
    }
}

/// Says of a table's schema whether its type brings a step.
pub(crate) fn with_step<T: Document>(schema: Schema) -> Schema {
    if T::HAS_STEP { schema.with_step() } else { schema }
}
