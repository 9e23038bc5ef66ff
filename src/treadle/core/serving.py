"""How predictions are answered: the settings of the server and of its log."""

from __future__ import annotations

from typing import Literal

from treadle.core.section import Section


class ServingSettings(Section, frozen=True, kw_only=True):
    """The prediction server."""

    #: Address to listen on. Anything but loopback needs `token`.
    host: str = "127.0.0.1"
    #: Port to listen on.
    port: int = 8080
    #: Names by which it is reached besides loopback's, as `a.team, b.team`; pages of other places, and without a token other names, are refused.
    hosts: str = ""
    #: Port to listen on for gRPC, at the same address; 0: none.
    grpc_port: int = 0
    #: Number of worker processes.
    workers: int = 1
    #: What computes ONNX models; where it is not there, the processor does, and endpoints, metrics and the log say so.
    provider: Literal["cpu", "cuda", "tensorrt", "openvino"] = "cpu"
    #: `async`: the log is flushed every `flush_interval`; `sync`: a prediction is on disk before it is answered.
    durability: Literal["async", "sync"] = "async"
    #: Seconds between flushes of the prediction log: what `async` may lose when the process is killed.
    flush_interval: float = 0.5
    #: Bytes of the log that may wait on this machine for the tables; what comes beyond that is dropped and counted, or refused (`sync`).
    max_spool: int = 4 * 1024**3
    #: Fraction of the requests whose predictions are logged; those that somebody has to look at are, whatever it says.
    sample: float = 1.0
    #: Fields (inputs, key columns, `subject`) that are left out of the log, separated by commas.
    redact_drop: str = ""
    #: Fields of which the log holds a keyed hash instead of the value, separated by commas.
    redact_hash: str = ""
    #: Secret of those hashes. Another one breaks the connection with what was logged before.
    redact_key: str = ""
    #: How long `treadle collect predictions` keeps predictions in the tables, as `180d`; empty: for ever.
    keep_predictions: str = ""
    #: How long it keeps outcomes, at least as long as predictions; empty: for ever.
    keep_outcomes: str = ""
    #: Seconds between looks at the ledger for new revisions.
    poll_interval: float = 0.5
    #: Largest request body, in bytes.
    max_body: int = 16 * 1024 * 1024
    #: Largest number of rows in one request.
    max_rows: int = 10_000
    #: Largest number of rows whose answers are explained in one request.
    explain_rows: int = 16
    #: Seconds that on-demand features of a request may take; then it is answered as `on_demand_failure` says.
    on_demand_timeout: float = 0.25
    #: What a request gets whose on-demand features cannot be computed: `error`, or `null` (missing values, and the answer says so).
    on_demand_failure: Literal["error", "null"] = "error"
    #: The endpoint that answers requests that name none, as those to `/invocations`; empty: the only one there is.
    default_endpoint: str = ""
    #: Bearer token that callers must send. Needed to listen off loopback.
    token: str = ""
    #: File of the tokens that `treadle tokens` makes, relative to the project; where it is there, callers must send one.
    tokens: str = ".treadle/tokens.json"
    #: Who may read `/metrics`: those whose token allows it (`token`), or everybody (`public`).
    metrics: Literal["token", "public"] = "token"
    #: File that gets a line of JSON for each request, relative to the project; `-`: standard output; empty: none.
    access_log: str = ""
    #: Requests that a worker has under way at once; more are refused with 503.
    max_in_flight: int = 256
    #: Bytes of large request bodies that a worker holds at once; a request that would bring more is refused with 503.
    max_bytes_in_flight: int = 32 * 1024 * 1024
    #: Seconds after which an answer is given up with 504; a caller asks for less with the header `Treadle-Timeout`.
    timeout: float = 60.0
    #: Seconds that the body of a request, or a part of it, may take to come.
    body_timeout: float = 10.0
    #: Connections that a worker holds open at once; more wait to be accepted.
    max_connections: int = 4096
    #: Seconds that a connection may be idle, take to send a request's headers, or leave an answer unread, before it is closed.
    idle_timeout: float = 10.0
    #: Seconds after SIGTERM in which requests are still taken while `/readyz` says 503, so that a load balancer goes elsewhere.
    drain_wait: float = 1.0
    #: Seconds that requests which have begun may take after that.
    grace: float = 30.0
