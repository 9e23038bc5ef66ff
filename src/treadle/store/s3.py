"""One way to talk to S3, for objects and for tables: options, bounded waits, and words for what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import S3Store

from treadle.core.errors import NotFound, SettingsError, StoreReadOnly, StoreUnavailable
from treadle.core.ids import new_id
from treadle.store.failures import full
from treadle.store.places import Place

#: Seconds for a connection, for one request, and for all attempts at one together.
CONNECT, REQUEST, ALTOGETHER = 3, 15, 10
#: How often a request that failed is sent again.
RETRIES = 3
#: Variables that belong to other tools, and have no meaning for this client.
_NOT_OURS = {
    *("AWS_PAGER", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
    *("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_EXECUTION_ENV", "AWS_CLI_AUTO_PROMPT", "AWS_DEFAULT_OUTPUT"),
}
_CODE = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
_CAUSES = {
    "connection refused": re.compile(r"Connection refused"),
    "its name cannot be looked up": re.compile(r"dns error"),
    "timed out": re.compile(r"timed out|kind: Timeout"),
    "connection lost": re.compile(r"connection closed|Connection reset|IncompleteMessage"),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_REFUSED = (
    "AccessDenied",
    "403 Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "MethodNotAllowed",
)
_FULL = ("507 Insufficient", "InsufficientStorage", "XMinioStorageFull", "QuotaExceeded")


def store_of(place: Place, *, options: Mapping[str, str]) -> S3Store:
    """Return a client for a bucket and prefix; nothing is sent yet.

    Raises:
        SettingsError: an `AWS_*` option is unknown.
    """
    own = _own(options)
    allow_http = own.pop("AWS_ALLOW_HTTP", "false").lower() in {"1", "true", "yes"}
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=own,  # type: ignore[arg-type]
            client_options={
                "connect_timeout": f"{CONNECT}s",
                "timeout": f"{REQUEST}s",
                "allow_http": allow_http,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=ALTOGETHER)},
        )
    except UnknownConfigurationKeyError as error:
        msg = f"An AWS_ variable is unknown to the S3 client: {str(error).splitlines()[0]} Remove it."
        raise SettingsError(msg) from error


def table_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return the storage options of delta-rs that mean the same."""
    return {
        **_own(options),
        "connect_timeout": f"{CONNECT}s",
        "timeout": f"{REQUEST}s",
        "max_retries": str(RETRIES),
        "retry_timeout": f"{ALTOGETHER}s",
        "conditional_put": "etag",
    }


def scan_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the storage options of Polars that mean the same."""
    return {
        **{key.lower(): value for key, value in _own(options).items()},
        "connect_timeout": f"{CONNECT}s",
        "timeout": f"{REQUEST}s",
        "max_retries": RETRIES,
        "retry_timeout_ms": ALTOGETHER * 1000,
    }


@contextmanager
def speaking(store: str, place: str) -> Iterator[None]:
    """Raise this package's errors for those of the client that are raised in the block."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if "NoSuchBucket" in str(error):
            raise _no_bucket(store, place) from error
        raise NotFound(f"There is no such object in {place}.") from error
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        raise _refused(store, place, str(error)) from error
    except (BaseError, OSError) as error:
        raise explain(store, place, str(error)) from error


def explain(store: str, place: str, text: str) -> StoreUnavailable:
    """Return what the text of an S3 error means for a store (`objects`, `tables`) at a place."""
    if "NoSuchBucket" in text:
        return _no_bucket(store, place)
    if any(word in text for word in _REFUSED):
        return _refused(store, place, text)
    if any(word in text for word in _FULL):
        return full(store, place)
    return StoreUnavailable(
        f"The {store} store {place} does not answer ({_short(text)}). See whether the server of AWS_ENDPOINT_URL is "
        "up and can be reached from here, and repeat the command."
    )


def probe(store: S3Store, *, shown: str) -> None:
    """Make sure that the bucket refuses to overwrite where it is told so (`If-None-Match: *`).

    Raises:
        StoreUnavailable: it overwrites, or does not answer.
    """
    key = f"_treadle_probe/{new_id()}"
    with speaking("tables", shown):
        obstore.put(store, key, b"1", mode="create")
        try:
            obstore.put(store, key, b"2", mode="create")
        except (AlreadyExistsError, PreconditionError, FileExistsError):
            obstore.delete(store, key)
            return
    with suppress(BaseError, OSError):  # the bucket is refused anyway
        obstore.delete(store, key)
    msg = (
        f"The bucket of {shown} ignores If-None-Match: two writers would overwrite each other's commits to a table "
        "and neither would know. Use a server that honours conditional PUT (Amazon S3, SeaweedFS, MinIO, Ceph), or "
        "set tables.url to a folder."
    )
    raise StoreUnavailable(msg)


def _own(options: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in options.items() if key not in _NOT_OURS}


def _no_bucket(store: str, place: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The bucket of the {store} store {place} does not exist. Make it, or set {store}.url."
    )


def _refused(store: str, place: str, text: str) -> StoreReadOnly:
    return StoreReadOnly(
        f"The {store} store {place} refuses these credentials ({_short(text)}). See AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY and the rights of that user on the bucket."
    )


def _short(text: str) -> str:
    code = _CODE.search(text)
    if code:
        return f"{code[1]}: {code[2]}"
    for cause, pattern in _CAUSES.items():
        if pattern.search(text):
            return cause
    return _COLOURS.sub("", text).strip().splitlines()[0][:200]
