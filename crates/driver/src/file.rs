/// Objects in files.
#[derive(Debug)]
pub struct FileDriver;
