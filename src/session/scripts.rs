//! What Redis does in one step, in Lua.
//!
//! Every script takes the prefix of all keys and, but for [`LIST`], [`SWEEP`] and those of uses, the hash of a session's id. A session that has a record
//! (`r`) is in force; one that has a reason (`e`) is over.

use std::sync::LazyLock;

use redis::Script;

/// Generation, record, activity and reason of a session.
pub(super) static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new("return redis.call('HMGET', ARGV[1] .. 's:' .. ARGV[2], 'g', 'r', 'a', 'e')")
});

/// Takes: generation, record, activity, when it runs out, how long its key is kept, end of life, age for the indexes, most
/// sessions (0: any number), the reason for those that are over then, indexes. Gives hash and record of those.
pub(super) static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local prefix, hash, kept = ARGV[1], ARGV[2], tonumber(ARGV[7])
        local key = prefix .. 's:' .. hash
        redis.call('HSET', key, 'g', ARGV[3], 'r', ARGV[4], 'a', ARGV[5], 'l', ARGV[8])
        redis.call('PEXPIRE', key, kept)
        redis.call('ZADD', prefix .. 'x', ARGV[6], hash)
        for i = 12, #ARGV do
            local index = prefix .. ARGV[i]
            redis.call('ZADD', index, ARGV[9], hash)
            if redis.call('PTTL', index) < kept then redis.call('PEXPIRE', index, kept) end
        end
        local gone, most, index = {}, tonumber(ARGV[10]), prefix .. ARGV[12]
        for _, other in ipairs(redis.call('ZRANGE', index, 0, -1)) do
            if redis.call('HEXISTS', prefix .. 's:' .. other, 'r') == 0 then redis.call('ZREM', index, other) end
        end
        if most > 0 then
            for _, other in ipairs(redis.call('ZRANGE', index, 0, -(most + 1))) do
                local theirs = prefix .. 's:' .. other
                gone[#gone + 1] = { other, redis.call('HGET', theirs, 'r') }
                redis.call('HDEL', theirs, 'r')
                redis.call('HSET', theirs, 'e', ARGV[11])
                redis.call('ZREM', index, other)
                redis.call('ZREM', prefix .. 'x', other)
            end
        end
        return gone
        ",
    )
});

/// Takes: the generation that must be there, the new one, its record. Gives what [`READ`] does.
pub(super) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local key = ARGV[1] .. 's:' .. ARGV[2]
        local now = redis.call('HMGET', key, 'g', 'r', 'a', 'e')
        if not now[2] or now[1] ~= ARGV[3] then return now end
        redis.call('HSET', key, 'g', ARGV[4], 'r', ARGV[5])
        return redis.call('HMGET', key, 'g', 'r', 'a', 'e')
        ",
    )
});

/// Takes: activity, when it runs out by that. Activity only moves forward.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local key = ARGV[1] .. 's:' .. ARGV[2]
        if redis.call('HEXISTS', key, 'r') == 0 then return 0 end
        local known = tonumber(redis.call('HGET', key, 'a'))
        if known and known >= tonumber(ARGV[3]) then return 1 end
        redis.call('HSET', key, 'a', ARGV[3])
        redis.call('ZADD', ARGV[1] .. 'x', ARGV[4], ARGV[2])
        return 1
        ",
    )
});

/// Takes: the reason, indexes. Gives 1 where it ended something. A reason that is there stays.
pub(super) static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local prefix, hash = ARGV[1], ARGV[2]
        local key, ended = prefix .. 's:' .. hash, 0
        if redis.call('HEXISTS', key, 'r') == 1 then
            redis.call('HDEL', key, 'r')
            redis.call('HSET', key, 'e', ARGV[3])
            ended = 1
        end
        redis.call('ZREM', prefix .. 'x', hash)
        for i = 4, #ARGV do redis.call('ZREM', prefix .. ARGV[i], hash) end
        return ended
        ",
    )
});

/// Takes: an index, first and last rank. Gives how long the index is, and hash and record of those in force.
pub(super) static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local prefix, index = ARGV[1], ARGV[1] .. ARGV[2]
        local found = {}
        for _, hash in ipairs(redis.call('ZRANGE', index, ARGV[3], ARGV[4])) do
            local record = redis.call('HGET', prefix .. 's:' .. hash, 'r')
            if record then found[#found + 1] = { hash, record } end
        end
        return { redis.call('ZCARD', index), found }
        ",
    )
});

/// Takes: now, how many at most, the reasons for those without activity and at the end of their life. Gives hash and record of
/// sessions that have run out; nobody else gets them again.
pub(super) static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local prefix, now, gone = ARGV[1], tonumber(ARGV[2]), {}
        for _, hash in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'x', '-inf', now, 'LIMIT', 0, ARGV[3])) do
            local key = prefix .. 's:' .. hash
            local record, life = redis.call('HGET', key, 'r'), tonumber(redis.call('HGET', key, 'l') or '0')
            if record then
                redis.call('HDEL', key, 'r')
                if now >= life then redis.call('HSET', key, 'e', ARGV[5]) else redis.call('HSET', key, 'e', ARGV[4]) end
                gone[#gone + 1] = { hash, record }
            end
            redis.call('ZREM', prefix .. 'x', hash)
        end
        return gone
        ",
    )
});

/// Takes: a name (with its kind), how a use stands that begins, how long that is kept. Gives how the first use stands, nothing to
/// the first.
pub(super) static USE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local key = ARGV[1] .. ARGV[2]
        local before = redis.call('HGET', key, 'o')
        if before then return before end
        redis.call('HSET', key, 'o', ARGV[3])
        redis.call('PEXPIRE', key, ARGV[4])
        return false
        ",
    )
});

/// Takes: a name. Gives how its use stands.
pub(super) static USED: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('HGET', ARGV[1] .. ARGV[2], 'o')"));

/// Takes: a name, how its use ended; empty: it counts as none.
pub(super) static END_USE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local key = ARGV[1] .. ARGV[2]
        if redis.call('HEXISTS', key, 'o') == 0 then return 0 end
        if ARGV[3] == '' then redis.call('HDEL', key, 'o') else redis.call('HSET', key, 'o', ARGV[3]) end
        return 1
        ",
    )
});
