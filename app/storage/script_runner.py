"""Runs a server-side script by its hash, and sends the script itself where a server does not know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.storage.connection import RedisConnection

    Call = tuple[Sequence[bytes], Sequence[bytes | int]]
    """KEYS and ARGV of one call."""


async def run_script(redis: RedisConnection, script: str, sha: str, calls: Sequence[Call]) -> int:
    """Run the script once a call and return the sum of its integer answers.

    Calls of several slots of a cluster go out together, one packet a node. All are tried, also when one fails.

    After a failover a server that was the primary may go on as a replica without closing a connection, while its name
    leads to the new one already. So a refusal to write lets go of idle connections, and the next call asks anew.

    Raises:
        redis.exceptions.RedisError: The first failure, when all calls have ended.
    """
    try:
        return await _run(redis, script, sha, calls)
    except ReadOnlyError:
        if not redis.is_cluster:
            await redis.client.connection_pool.disconnect(inuse_connections=False)
        raise


async def _run(redis: RedisConnection, script: str, sha: str, calls: Sequence[Call]) -> int:
    if len(calls) == 1:
        keys, arguments = calls[0]
        try:
            return int(await redis.client.evalsha(sha, len(keys), *keys, *arguments))
        except NoScriptError:
            return int(await redis.client.eval(script, len(keys), *keys, *arguments))
    answers = await _all(redis, "EVALSHA", sha, calls)
    unknown = [position for position, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        retried = await _all(redis, "EVAL", script, [calls[position] for position in unknown])
        for position, answer in zip(unknown, retried, strict=True):
            answers[position] = answer
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return sum(int(answer) for answer in answers)


async def _all(redis: RedisConnection, command: str, script: str, calls: Sequence[Call]) -> list[Any]:
    pipeline = redis.client.pipeline(transaction=False)
    for keys, arguments in calls:
        # by name, because redis-py's cluster pipeline has no method for it, though it routes it rightly
        pipeline.execute_command(command, script, len(keys), *keys, *arguments)
    return list(await pipeline.execute(raise_on_error=False))
