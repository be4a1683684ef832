use std::fs;

use bucketdb::EncryptionKeys;

use crate::arguments::Global;
use crate::failure::Failure;

/// Holds keys themselves. No option does: what is given as an argument, everybody on the machine can see.
const VARIABLE: &str = "BUCKETDB_KEY";

/// The keys of an encrypted database, from the file or the variable that has them. No message says what is in them.
pub(crate) fn of(global: &Global) -> Result<Option<EncryptionKeys>, Failure> {
    let file = global.key_file.as_deref().filter(|path| !path.as_os_str().is_empty());
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (text, source) = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(path), Some(_)) => {
            let message = format!("{VARIABLE} is set, and {} was named as the key file: take one away", path.display());
            return Err(Failure::usage(message));
        }
        (Some(path), None) => {
            let source = path.display().to_string();
            (fs::read_to_string(path).map_err(|error| Failure::of_io("read", &source, &error))?, source)
        }
        (None, Some(text)) => (text, VARIABLE.to_owned()),
    };
    text.parse().map(Some).map_err(|error| Failure::usage(format!("{source}: {error}")))
}
