use redis::{Cmd, RedisWrite};
use std::io::Write;

/// A Lua script with the hash that the server knows it by.
///
/// All its keys must be declared and lie in one slot. The first command of a script that writes must be one that the
/// server can refuse for want of memory or on a replica: a refusal then comes before anything was written, and the
/// server lets a script that has begun to write go on to its end.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

/// An argument in pieces, so that a body and its header need not be copied together first.
pub(crate) type Argument<'a> = &'a [&'a [u8]];

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Runs the script if the server has it.
    pub(crate) fn by_hash(&self, keys: &[Vec<u8>], arguments: &[Argument<'_>]) -> Cmd {
        command("EVALSHA", &self.hash, keys, arguments)
    }

    /// Runs the script and leaves it with the server.
    pub(crate) fn by_code(&self, keys: &[Vec<u8>], arguments: &[Argument<'_>]) -> Cmd {
        command("EVAL", self.code, keys, arguments)
    }
}

fn command(name: &str, script: &str, keys: &[Vec<u8>], arguments: &[Argument<'_>]) -> Cmd {
    let bytes: usize = arguments.iter().flat_map(|pieces| pieces.iter()).map(|piece| piece.len()).sum();
    let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), 1024 + script.len() + bytes);
    command.arg(name).arg(script).arg(keys.len()).arg(keys);
    for pieces in arguments {
        let mut argument = command.writer_for_next_arg();
        for piece in *pieces {
            // Writes into a buffer in memory, which cannot fail.
            let _ = argument.write_all(piece);
        }
    }
    command
}

/// The scripts of the driver.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    /// Keys: object, index, writes. Arguments: name, what to store with a count of zeros, condition (`always`,
    /// `absent`, `match`), ETag. Answers with the count as 16 hexadecimal digits, or nil if the condition does not
    /// hold.
    pub(crate) put: Script,
    /// Keys: index, then objects of its shard. Arguments: their names.
    pub(crate) delete: Script,
    /// Key: object. Arguments: positions of the first and last byte. Answers with the ETag and the bytes.
    pub(crate) range: Script,
    /// Key: any; it chooses the server that is asked. Answers with seconds and microseconds since 1970.
    pub(crate) time: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            put: Script::new(PUT),
            delete: Script::new(DELETE),
            range: Script::new(RANGE),
            time: Script::new("return redis.call('TIME')"),
        }
    }
}

/// `pcall` hands the server's error on as it is; older servers would wrap it into one that hides its code.
const PUT: &str = "\
local etag = redis.pcall('GETRANGE', KEYS[1], 0, 48)
if type(etag) == 'table' then return etag end
if ARGV[3] == 'absent' and etag ~= '' then return false end
if ARGV[3] == 'match' and (etag == '' or etag ~= ARGV[4]) then return false end
local writes = redis.pcall('INCR', KEYS[3])
if type(writes) == 'table' then return writes end
local indexed = redis.pcall('ZADD', KEYS[2], 0, ARGV[1])
if type(indexed) == 'table' then return indexed end
local count = string.format('%016x', writes)
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SETRANGE', KEYS[1], 0, count)
return count";

const DELETE: &str = "\
redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('UNLINK', unpack(KEYS, 2))
return 1";

const RANGE: &str = "\
local etag = redis.pcall('GETRANGE', KEYS[1], 0, 48)
if type(etag) == 'table' then return etag end
if etag == '' then return false end
if tonumber(ARGV[2]) < tonumber(ARGV[1]) then return {etag, ''} end
return {etag, redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[2])}";
