use std::ops::ControlFlow;

use crate::format::Checksums;
use crate::layout::{ObjectKind, RecordName};
use crate::manifest::Manifest;
use crate::source::Source;
use crate::{DatabaseId, LogError, Result, reads};

impl Source<'_> {
    /// Finds the record that is to blame when no usable checkpoint is found in a log without its beginning: a spoilt one
    /// does not look like a checkpoint. Nothing is said if all are sound, or if the database cannot be told.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names it.
    pub(crate) async fn diagnose(&self, run: &[RecordName], database: Option<DatabaseId>) -> Result<()> {
        let database = match database {
            Some(database) => database,
            None => match self.database_of_a_manifest().await? {
                Some(database) => database,
                None => return Ok(()),
            },
        };
        let checksums = Checksums::new(database);
        for RecordName { seq, name, .. } in run.iter().rev() {
            if let Some(bytes) = self.fetch(name).await? {
                self.decode(*seq, name, &bytes, &checksums)?;
            }
        }
        Ok(())
    }

    /// A sound manifest says of which database it is.
    async fn database_of_a_manifest(&self) -> Result<Option<DatabaseId>> {
        let mut names = Vec::new();
        reads::list(self.store, self.env, &self.object(ObjectKind::Manifest.folder()), None, |object| {
            names.extend(object.key.as_str().strip_prefix(self.layout.prefix()).map(str::to_owned));
            ControlFlow::Continue(())
        })
        .await?;
        for name in names.iter().rev() {
            if let Some(bytes) = self.fetch(name).await?
                && let Ok(manifest) = Manifest::decode(&bytes, name)
            {
                return Ok(Some(manifest.database));
            }
        }
        Ok(None)
    }

    /// The error for a position that must be in the log.
    pub(crate) fn missing(&self, name: &str, detail: impl Into<String>) -> LogError {
        LogError::Missing { object: self.object(name), detail: detail.into() }
    }
}
