use crate::codec::{self, Malformed, Reader};
use crate::sessions::Sessions;
use crate::shared::Applied;
use crate::turns::Turns;
use crate::upkeep::Upkeep;
use crate::{ChainHash, LogTime, Seq, SharedOptions, SlotNames};

/// What the log itself adds up to at one position, without the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) names: SlotNames,
    pub(crate) seq: Seq,
    /// The hash of the record there.
    pub(crate) hash: ChainHash,
    /// The time in that record.
    pub(crate) time: LogTime,
    /// The name of that record's object.
    pub(crate) name: String,
    pub(crate) options: SharedOptions,
    pub(crate) floor: Seq,
    pub(crate) sessions: Sessions,
    pub(crate) turns: Turns,
    pub(crate) upkeep: Upkeep,
}

impl LogState {
    pub(crate) fn of<M>(names: SlotNames, applied: &Applied<M>) -> Self {
        Self {
            names,
            seq: applied.seq,
            hash: applied.hash,
            time: applied.time,
            name: applied.name.clone(),
            options: applied.options.clone(),
            floor: applied.floor,
            sessions: applied.sessions.clone(),
            turns: applied.turns.clone(),
            upkeep: applied.upkeep.clone(),
        }
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.push(match self.names {
            SlotNames::Shared => 0,
            SlotNames::PerSession => 1,
        });
        codec::put_varint(buffer, self.seq.0);
        buffer.extend_from_slice(&self.hash.0);
        codec::put_varint(buffer, self.time.0);
        codec::put_bytes(buffer, self.name.as_bytes());
        let mut options = Vec::new();
        self.options.encode(&mut options);
        codec::put_bytes(buffer, &options);
        codec::put_varint(buffer, self.floor.0);
        self.sessions.encode(buffer);
        self.turns.encode(buffer);
        self.upkeep.encode(buffer);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let names = match reader.u8()? {
            0 => SlotNames::Shared,
            1 => SlotNames::PerSession,
            _ => return Err(Malformed("records are named in an unknown way")),
        };
        Ok(Self {
            names,
            seq: Seq(reader.varint()?),
            hash: ChainHash(reader.array()?),
            time: LogTime(reader.varint()?),
            name: reader.text()?,
            options: SharedOptions::decode(reader.bytes()?)?,
            floor: Seq(reader.varint()?),
            sessions: Sessions::decode(reader)?,
            turns: Turns::decode(reader)?,
            upkeep: Upkeep::decode(reader)?,
        })
    }
}
