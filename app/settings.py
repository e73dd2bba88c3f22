"""Every ``SEQRANK_*`` variable: its type, default, unit and bounds."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import MOST_SHOWN, InvalidSetting

PREFIX: Final = "SEQRANK_"

_ORIGIN: Final = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/]+")


class Settings(BaseSettings):
    """The service's settings; read once, by `app.main` and `app.__main__` alone."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    bundle: Path | None = Field(None, description="The bundle folder; `--bundle` goes before it.")
    host: str = Field("127.0.0.1", description="Address to listen on; `--host` goes before it.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one; `--port` goes before it.")
    workers: int = Field(1, ge=1, le=256, description="Processes on the port; `--workers` goes before it.")

    redis_url: SecretStr = Field(
        SecretStr("embedded"),
        description="`embedded` (a Valkey child process), `redis://`, `rediss://`, `redis+cluster://`, "
        "`rediss+cluster://` or `unix://`.",
    )
    redis_read_url: SecretStr = Field(
        SecretStr(""),
        description="Where histories are read from, for example a replica, which may lag; empty: `SEQRANK_REDIS_URL`.",
    )
    redis_timeout_ms: float = Field(20.0, gt=0, le=5000, description="To read a history, milliseconds.")
    redis_connect_timeout_ms: float = Field(50.0, gt=0, le=10_000, description="To connect, milliseconds.")
    redis_write_timeout_ms: float = Field(1000.0, gt=0, le=60_000, description="To store events, milliseconds.")
    redis_max_connections: int = Field(32, ge=1, le=10_000, description="Connections for writes, for each process.")
    redis_tls_ca_file: str = Field("", description="PEM file of the authority for `rediss://`; empty: the system's.")
    redis_tls_cert_file: str = Field("", description="PEM file of a client certificate.")
    redis_tls_key_file: str = Field("", description="PEM file of its key.")
    redis_tls_check_host_name: bool = Field(True, description="Whether the certificate must carry the host's name.")
    data_dir: Path = Field(Path("seqrank-data"), description="Folder of the embedded store's append-only file.")
    append_fsync: Literal["always", "everysec", "no"] = Field(
        "always", description="The embedded store's `appendfsync`; `always` survives a power cut."
    )

    history_kept_events: int = Field(200, ge=1, le=10_000, description="Events kept for a user.")
    history_ttl_days: float = Field(90.0, gt=0, le=36_500, description="A history without a new event is gone, days.")
    event_log_entries: int = Field(2_000_000, ge=0, description="Entries of the event log, about; 0 keeps no log.")
    event_log_days: float = Field(30.0, gt=0, le=36_500, description="Entries of the event log are gone after, days.")
    user_secret: SecretStr = Field(
        SecretStr(""),
        description="Hides user ids in Redis and logs behind a keyed hash; another secret, new histories.",
    )

    timeout_ms: float = Field(100.0, ge=1, le=10_000, description="Budget of a request that names none, milliseconds.")
    max_items: int = Field(2000, ge=1, le=100_000, description="Candidates of a request; items or events of a call.")
    max_body_bytes: int = Field(1 << 20, ge=1024, le=1 << 30, description="Longest request body, bytes.")
    max_waiting: int = Field(256, ge=1, le=100_000, description="Requests in line for the model, for each process.")
    rescored_items: int = Field(500, ge=1, le=100_000, description="Of the whole catalogue's best, scored in full.")
    latency_slo_ms: float = Field(100.0, gt=0, description="`/health/latency` answers 503 past it, milliseconds.")

    provider: Literal["auto", "cpu", "cuda"] = Field("auto", description="ONNX Runtime's execution provider.")
    gpu_memory_limit_mb: int = Field(0, ge=0, description="Of each session's CUDA arena, MB; 0: no limit.")
    model_workers: int = Field(0, ge=0, le=256, description="Runs side by side in a process; 0: measured.")
    model_threads: int = Field(1, ge=1, le=256, description="Threads of one run.")
    encoder_threads: int = Field(1, ge=1, le=256, description="Threads of one run of the item encoder.")
    batching: Literal["auto", "on", "off"] = Field("auto", description="Requests in one run; `auto` measures.")
    spare_rows: int = Field(65_536, ge=0, le=10_000_000, description="Items and texts that may be added online.")
    catalog_check_s: float = Field(1.0, gt=0, le=3600, description="How often items are synchronised, seconds.")
    bundle_public_key: Path | None = Field(None, description="PEM file: the bundle must be signed by this key.")
    certificate_every_s: float = Field(
        600.0, ge=0, description="How often the golden requests are replayed while idle, seconds; 0: at start only."
    )
    stuck_after_s: float = Field(10.0, gt=0, description="A run that takes longer fails liveness, seconds.")

    api_keys: SecretStr = Field(SecretStr(""), description="Keys that may rank, comma-separated; empty: no auth.")
    api_keys_file: Path | None = Field(None, description="More of them, one a line; read again when it changes.")
    admin_keys: SecretStr = Field(
        SecretStr(""), description="Keys that may also change items and delete users; empty: the API keys may."
    )
    admin_keys_file: Path | None = Field(None, description="More of them, one a line; read again when it changes.")
    rate_limit_per_s: float = Field(0.0, ge=0, description="Requests a second of a key or address; 0: no limit.")
    rate_limit_burst: int = Field(0, ge=0, description="How many of them at once; 0: twice the rate.")
    cors_origins: str = Field("", description="Origins that browsers may call from, comma-separated; empty: none.")

    drain_s: float = Field(1.0, ge=0, le=5, description="After SIGTERM the port answers 503 for so long, seconds.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or plain text.")
    slow_request_ms: float = Field(1000.0, ge=0, description="Slower rank requests are logged, milliseconds; 0: none.")

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for part in value.split(","):
            origin = part.strip()
            if origin and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin, expected scheme://host or scheme://host:port without a path, or *"
                )
        return value

    @field_validator("api_keys", "admin_keys")
    @classmethod
    def _hold_a_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and not _parts(text):
            # taken for "no keys", it would open everything to everybody
            raise ValueError("it holds no key, expected keys with commas between them, or no value at all for no auth")
        return value

    def named_bundle(self) -> Path:
        """Return the bundle folder.

        Raises:
            InvalidSetting: If none was named.
        """
        if self.bundle is None:
            raise InvalidSetting("no bundle is given, expected --bundle DIR or SEQRANK_BUNDLE")
        return self.bundle

    def names_in(self, setting: Literal["api_keys", "admin_keys", "cors_origins"]) -> tuple[str, ...]:
        """Return the parts of a comma-separated setting."""
        value = getattr(self, setting)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return _parts(text)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_settings(**given: Any) -> Settings:
    """Return the settings of this process: ``given`` ones, then the environment's, then the defaults.

    Args:
        given: Of the command line, by setting; None for what was not given.

    Raises:
        InvalidSetting: If a ``SEQRANK_*`` variable is not known, or a value is out of bounds. The sentence repeats the
            value unless it is a secret.
    """
    refuse_unknown(os.environ)
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        is_secret = Settings.model_fields[name].annotation is SecretStr
        shown = "not usable" if is_secret else repr(str(first["input"])[:MOST_SHOWN])
        reason = first["msg"].removeprefix("Value error, ")
        said = f"{PREFIX}{name.upper()}" if given.get(name) is None else f"--{name}"
        raise InvalidSetting(f"{said} is {shown}: {reason[:1].lower()}{reason[1:]}") from None


def refuse_unknown(environment: Any) -> None:
    """Refuse a variable that looks like ours and is not: a misspelt setting would silently be a default.

    Raises:
        InvalidSetting: It names the variable and the nearest known one.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            nearest = get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]
            raise InvalidSetting(f"{name} is no setting, did you mean {nearest}?")
