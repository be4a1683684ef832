/// A kind of thing that clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Reads one document.
    Get,
    /// Writes a register blindly.
    Put,
    /// Removes a register.
    Delete,
    /// Counts a register up.
    Update,
    /// Appends to a list.
    Append,
    /// Claims a name that only one may have.
    Claim,
    /// Writes all halves of a pair at once.
    WriteAll,
    /// Reads all halves of a pair at once.
    QueryAll,
    /// Claims a name and writes registers in one batch.
    Batch,
    /// Reads and appends to several lists in one transaction.
    Transact,
    /// Moves money in a transaction.
    Transfer,
    /// Reads all accounts at once.
    Balances,
    /// Takes a seat if counting them shows that one is left.
    Seat,
    /// Reads the database as it was.
    Past,
    /// Writes a JSON document.
    Note,
    /// Registers a new version of a schema, or a new table.
    Schema,
    /// Reads one snapshot again and again.
    Hold,
    /// Loads registers in bulk.
    Load,
    /// Adds an index, or drops one.
    Index,
    /// Reads all registers by an index.
    Find,
    /// Names a position, drops a name, or reads by one.
    Name,
    /// Writes, removes, reads or copies a document with a blob.
    Picture,
    /// Writes, removes or reads documents that end.
    Ticket,
    /// Creates a branch, drops one, or looks at one and writes to it.
    Branch,
    /// Asks one moment several questions.
    Ask,
    /// Makes a backup, or restores one and reads it.
    Backup,
    /// Writes to, reads or drops a database beside this one, and creates the next one there.
    Succeed,
}

impl Work {
    /// All kinds but the last six: which of them a run has is drawn in this order.
    pub const ALL: [Self; 21] = [
        Self::Get,
        Self::Put,
        Self::Delete,
        Self::Update,
        Self::Append,
        Self::Claim,
        Self::WriteAll,
        Self::QueryAll,
        Self::Batch,
        Self::Transact,
        Self::Transfer,
        Self::Balances,
        Self::Seat,
        Self::Past,
        Self::Note,
        Self::Schema,
        Self::Hold,
        Self::Load,
        Self::Index,
        Self::Find,
        Self::Name,
    ];
}
