from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from time import monotonic

import services
from treadle.serving import stream
from treadle.serving.stream import Outgoing


def test_a_stream_that_is_killed_and_started_again_loses_no_message(shop, typed, tmp_path):
    command = [sys.executable, "-m", "treadle.app.cli.main", "stream", "buys"]
    with services.PrivateRedis(tmp_path / "redis") as redis, services.PrivateNats(tmp_path / "nats") as nats:
        into, out = f"{redis.url}?stream=in&idle=500", f"{redis.url}?stream=out"
        with closing(stream.sink(f"{redis.url}?stream=in")) as sender:
            sender.publish([Outgoing(f"m{n}", json.dumps({"pages": n % 9}).encode()) for n in range(3_000)])
        answers, repeated = {}, 0
        kills = 0
        with closing(stream.source(out)) as reader:
            end = monotonic() + 300
            while len(answers) < 3_000 and monotonic() < end:
                process = subprocess.Popen(
                    [*command, "--from", into, "--to", out, "--batch", "50"], stderr=subprocess.DEVNULL
                )
                begun = len(answers)
                while len(answers) < min(begun + 700, 3_000) and monotonic() < end:
                    found = reader.take(500, wait=0.1)
                    reader.acknowledge(found) if found else None
                    repeated += sum(message.id in answers for message in found)
                    answers |= {message.id: json.loads(message.body) for message in found}
                if kills < 2:
                    process.kill()
                    kills += 1
                else:
                    process.send_signal(signal.SIGTERM)
                assert process.wait(30) in {0, -signal.SIGKILL}

        assert set(answers) == {f"m{n}" for n in range(3_000)}
        assert kills == 2
        assert answers["m7"]["predictions"][0]["prediction_id"] == "m7-0"
        for arguments, code, said in (
            (("--from", "kafka://x/y", "--to", out), 2, "no broker that is known"),
            (("--from", "env:NOT_SET", "--to", out), 2, "no variable NOT_SET"),
            (("--from", into, "--to", f"{nats.url}/"), 2, "names no stream or subject"),
            (("--from", f"{nats.url}/none?durable=d", "--to", out), 5, "stream not found"),
        ):
            found = typed("stream", "buys", *arguments)
            assert (found.code, said in found.err) == (code, True), found.err
