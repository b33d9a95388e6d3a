"""The weights of a text model as bytes: NumPy's own zip of arrays, without pickle."""

from __future__ import annotations

import io
import zipfile
from typing import Final

import numpy as np

from ticket_classifier.domain.textmodel import Weights

_MOST_BYTES: Final = 64_000_000
"""Of the arrays, unpacked: a file that claims more is no model of ours."""
_TYPES: Final = {
    "words": np.uint8, "heads": np.uint16, "pairs": np.uint16, "idf": np.uint8, "weight": np.int8,
    "scale": np.float32, "bias": np.float32,
}  # fmt: skip


def packed(weights: Weights) -> bytes:
    """`model.npz`."""
    held = io.BytesIO()
    np.savez_compressed(
        held,
        words=np.frombuffer("\n".join(weights.words).encode(), dtype=np.uint8),
        heads=weights.heads,
        pairs=weights.pairs,
        idf=weights.idf,
        weight=weights.weight,
        scale=weights.scale,
        bias=weights.bias,
    )
    return held.getvalue()


def unpacked(content: bytes) -> Weights:
    """Raises ValueError."""
    try:
        return _unpacked(content)
    except (KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(error) from None


def _unpacked(content: bytes) -> Weights:
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        if (claimed := sum(part.file_size for part in parts.infolist())) > _MOST_BYTES:
            raise ValueError(f"{claimed} bytes unpacked are more than {_MOST_BYTES}")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {}
        for name, kind in _TYPES.items():
            arrays[name] = stored[name]
            if arrays[name].dtype != kind:
                raise ValueError(f"{name} holds {arrays[name].dtype}, not {np.dtype(kind)}")
    words = arrays.pop("words").tobytes().decode().split("\n")
    return Weights(words=words, **arrays)
