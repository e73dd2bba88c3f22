"""Opens thousands of damaged bundles: whatever is wrong must end in `BundleError`, never in another error or a crash.

`python -m bench.bundle_fuzz [--bundles 10000] [--seed 1] [--json FILE]`. A quarter each: bytes changed in any file;
bytes or values changed in ``manifest.json``; values changed in ``golden.json`` with its hash made right; bytes changed
in any other file with its hash made right, so that the parsers behind the check meet the damage themselves. A manifest
that was changed into another valid one can only be told by its signature: every second bundle is opened with the key.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.contract.bundle_integrity import describe_files
from app.contract.manifest import BUNDLE_FILES, GOLDEN_FILE, MANIFEST_FILE
from app.errors import BundleError
from app.inference.bundle import open_bundle
from app.inference.provider import obtain_provider
from tests.tiny_bundle import make_tiny_bundle

ODD_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 0.5, 1e308, -0.0, "", "x", "../x", "\u0000", "fp16",
    "é" * 300, [], {}, [[]], {"a": {}}, ["a", "a"],
)  # fmt: skip


def main() -> int:
    """Fuzz; return 0 if nothing but refusals was seen, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=int, default=10_000, help="how many damaged bundles to open (10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the damage (1)")
    parser.add_argument("--json", type=Path, help="write the counts here")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, surprises = fuzz(Path(folder), bundles=arguments.bundles, seed=arguments.seed)
    result = {"bundles": arguments.bundles, "seed": arguments.seed, **outcomes, "surprises": surprises[:20]}
    print(json.dumps(result, indent=2))
    print(f"{arguments.bundles} bundles in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if surprises else 0


def fuzz(folder: Path, *, bundles: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Open ``bundles`` damaged copies of a tiny signed bundle, every second one with its public key.

    Returns:
        How many were refused or accepted, and a line for each that ended in another error, or was accepted although a
        file differs from the manifest, or the manifest from its signature.
    """
    private_key, public_key = new_keys(folder)
    original = make_tiny_bundle(folder / "original", item_count=40, sign_key=private_key)
    signed = (original / MANIFEST_FILE).read_bytes()
    ways = (change_any_file, change_manifest, change_golden, change_behind_the_hash)
    counts: Counter[str] = Counter()
    surprises: list[str] = []
    provider = obtain_provider("cpu")
    for number in range(bundles):
        dice = random.Random(f"{seed}-{number}")
        key = public_key if number // len(ways) % 2 else None
        copy = Path(shutil.copytree(original, folder / "copy"))
        way = ways[number % len(ways)]
        what = f"{number}: {way.__name__} {way(copy, dice)}"
        try:
            open_bundle(copy, provider=provider, public_key=key)
        except BundleError:
            counts["refused"] += 1
        except BaseException as error:  # noqa: BLE001 -- exactly these are looked for
            surprises.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
        else:
            counts["accepted: consistent in itself and matching its golden requests"] += 1
            if way is change_any_file or (key is not None and (copy / MANIFEST_FILE).read_bytes() != signed):
                surprises.append(f"{what}: accepted")
        shutil.rmtree(copy)
    return dict(counts), surprises


def change_any_file(bundle: Path, dice: random.Random) -> str:
    """Flip, cut, extend, remove, exchange or replace a file without telling the manifest."""
    name = dice.choice(BUNDLE_FILES)
    path, other = bundle / name, bundle / dice.choice([file for file in BUNDLE_FILES if file != name])
    deed = dice.choice(("flip", "cut", "extend", "remove", "exchange", "link", "extra"))
    content = bytearray(path.read_bytes())
    if deed == "flip":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
    elif deed == "cut":
        path.write_bytes(content[: dice.randrange(len(content))])
    elif deed == "extend":
        path.write_bytes(content + b"\0")
    elif deed == "remove":
        path.unlink()
    elif deed == "exchange":
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif deed == "link":
        outside = bundle.parent / "outside"
        shutil.copy(path, outside)
        path.unlink()
        path.symlink_to(outside)
    else:
        (bundle / f"extra-{name}").write_bytes(b"x")
    return f"{deed} {name}"


def change_manifest(bundle: Path, dice: random.Random) -> str:
    """Change bytes or one value of the manifest."""
    path = bundle / MANIFEST_FILE
    if dice.random() < 0.5:
        path.write_bytes(_noisy(path.read_bytes(), dice))
        return "bytes"
    content = json.loads(path.read_text())
    what = _change_value(content, dice)
    path.write_text(json.dumps(content))
    return what


def change_golden(bundle: Path, dice: random.Random) -> str:
    """Change one value of the golden requests and make the manifest's hash right."""
    path = bundle / GOLDEN_FILE
    content = json.loads(path.read_text())
    what = _change_value(content, dice)
    path.write_text(json.dumps(content))
    _hash_again(bundle)
    return what


def change_behind_the_hash(bundle: Path, dice: random.Random) -> str:
    """Damage a file and make the manifest's hash right."""
    name = dice.choice([file for file in BUNDLE_FILES if file != GOLDEN_FILE])
    path = bundle / name
    path.write_bytes(_noisy(path.read_bytes(), dice) or b"x")
    _hash_again(bundle)
    return name


def new_keys(folder: Path) -> tuple[Path, Path]:
    """Write an Ed25519 key pair; return the private and the public key's path."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def _noisy(content: bytes, dice: random.Random) -> bytes:
    """Return the content with a few bytes changed, removed or doubled."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        if not changed:
            break
        at = dice.randrange(len(changed))
        deed = dice.randrange(4)
        if deed == 0:
            changed[at] = dice.randrange(256)
        elif deed == 1:
            del changed[at : at + dice.randrange(1, 9)]
        elif deed == 2:
            changed[at:at] = changed[at : at + dice.randrange(1, 9)]
        else:
            changed[at : at + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"1e99", b"-999"))
    return bytes(changed)


def _change_value(content: Any, dice: random.Random) -> str:
    """Replace, remove or double one value somewhere inside."""
    at, path = content, ""
    while True:
        key: Any = dice.choice(list(at)) if isinstance(at, dict) else dice.randrange(len(at))
        path += f".{key}"
        inner = at[key]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.8:
            at = inner
            continue
        if dice.random() < 0.2:
            del at[key]
            return f"without {path}"
        at[key] = dice.choice(ODD_VALUES)
        return f"{path} = {str(at[key])[:20]!r}"


def _hash_again(bundle: Path) -> None:
    path = bundle / MANIFEST_FILE
    content = json.loads(path.read_text())
    content["files"] = describe_files(bundle, BUNDLE_FILES)
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    sys.exit(main())
