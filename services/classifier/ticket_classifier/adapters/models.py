"""A text model as files: a directory of `model.json` and `model.npz`. The README describes both; nothing in them is
code.

The digest in `model.json` is that of its own content, which holds the digest of `model.npz`: whoever names it names
every weight.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ticket_classifier.domain.figures import Figures
from ticket_classifier.domain.learning import Baseline
from ticket_classifier.domain.opinion import Calibration, ModelError, Thresholds
from ticket_runtime.logs import logger

if TYPE_CHECKING:
    from ticket_classifier.domain.textmodel import TextModel

log = logger(__name__)

FORMAT: Final = "relaydesk-text-model/1"
MANIFEST, ARRAYS = "model.json", "model.npz"


class Source(msgspec.Struct, frozen=True):
    """What a model was trained on. sha256: of the file as it was."""

    file: str
    sha256: str
    text: str
    label: str
    tickets: int


class Manifest(msgspec.Struct, frozen=True):
    """`model.json`. arrays_sha256: of `model.npz`. shares: label -> its share of the tickets trained on. figures: on
    tickets that were held out in turn (`folds` times), after calibration. words, pairs: the mean shares known of those
    tickets."""

    digest: str
    format: str
    arrays_sha256: str
    labels: list[str]
    calibration: Calibration
    thresholds: Thresholds
    source: Source
    shares: dict[str, float]
    folds: int
    figures: Figures
    words: float
    pairs: float

    def own_digest(self) -> str:
        """The first 128 bits of the SHA-256 of all of it but the digest, as canonical JSON; 32 hex digits."""
        content = msgspec.to_builtins(self)
        del content["digest"]
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]


def write_model(directory: Path, manifest: Manifest, arrays: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    said = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    for name, content in ((ARRAYS, arrays), (MANIFEST, said)):  # the manifest last: until then there is no model
        part = directory / f"{name}.part"
        part.write_bytes(content)
        part.replace(directory / name)


def read_manifest(directory: Path) -> Manifest:
    """Raises ModelError."""
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{directory} holds no model: {MANIFEST}: {error.strerror}; `train --output DIR` makes one"
        ) from None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not whole ({error}): copy the model again, or train it anew") from None
    if manifest.format != FORMAT:
        raise ModelError(f"{path} has the format {manifest.format[:60]!r}; {FORMAT} is read here: train it anew")
    if (actual := manifest.own_digest()) != manifest.digest:
        raise ModelError(
            f"{path} was altered: it says {manifest.digest[:32]}, its content's digest is {actual}: copy it again"
        )
    return manifest


def read_model(directory: Path) -> tuple[TextModel, Manifest]:
    """Raises ModelError for what is not there, cut short or altered."""
    manifest = read_manifest(directory)
    path = directory / ARRAYS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; copy the whole directory of the model") from None
    if (actual := hashlib.sha256(content).hexdigest()) != manifest.arrays_sha256:
        raise ModelError(
            f"{path} was cut short or altered ({len(content)} bytes, SHA-256 {actual[:12]}…, {MANIFEST} names "
            f"{manifest.arrays_sha256[:12]}…): copy the model again, or train it anew"
        )
    # Here, for a desk without a model need not wait for numpy.
    from ticket_classifier.adapters.arrays import unpacked
    from ticket_classifier.domain.textmodel import TextModel

    try:
        weights = unpacked(content)
        model = TextModel(manifest.digest, manifest.labels, weights, manifest.calibration, manifest.thresholds)
    except ValueError as error:
        raise ModelError(f"{path} holds no weights of a model: {error}; train it anew") from None
    return model, manifest


def baselines(directory: Path | None) -> dict[str, Baseline]:
    """What the models of a directory were like at training, by digest. Those that cannot be read are left out."""
    found = {}
    for path in sorted(directory.glob(f"*/{MANIFEST}")) if directory is not None else []:
        try:
            manifest = read_manifest(path.parent)
        except ModelError as error:
            log.warning("a model cannot be read", reason=str(error))
            continue
        found[manifest.digest] = Baseline(manifest.digest, manifest.shares, manifest.words)
    return found


class Models:
    """The models of a directory, each in a directory of its own under any name; found by digest when the agreement
    first names one, so that a new model is copied there and needs no restart."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._found: dict[str, TextModel] = {}
        self._missed: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        """digest -> why it is not there."""

    _LOOK_AGAIN_SECONDS: Final = 5.0

    def __call__(self, digest: str) -> TextModel | None:
        """The model, None when it is not there (yet); looks again after some seconds."""
        model = self._found.get(digest)
        if model is None and time.monotonic() >= self._missed.get(digest, 0.0):
            try:
                model = self._found[digest] = self._read(digest)
                self.problems.pop(digest, None)
                log.info("model read", model=digest)
            except ModelError as error:
                if self.problems.get(digest) != str(error):
                    log.error("a model is not there: the rules decide without it", model=digest, reason=str(error))
                self.problems[digest] = str(error)
                self._missed[digest] = time.monotonic() + self._LOOK_AGAIN_SECONDS
        return model

    def _read(self, digest: str) -> TextModel:
        if self._directory is None:
            raise ModelError(f"the agreement names the model {digest}: set RELAYDESK_MODELS to the directory of models")
        there = []
        for manifest in sorted(self._directory.glob(f"*/{MANIFEST}")):
            try:
                found = read_manifest(manifest.parent)
            except ModelError as error:
                there.append(str(error))
                continue
            if found.digest == digest:
                return read_model(manifest.parent)[0]
            there.append(f"{manifest.parent.name} is {found.digest}")
        raise ModelError(
            f"no model {digest} in {self._directory}: copy it there ({'; '.join(there) or 'it holds none'})"
        )
