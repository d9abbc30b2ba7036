"""Which checkpoint a hash stands for: AutoV1, AutoV2, SHA256, or any shorter beginning of it.

    table = CheckpointHashes(checkpoints)
    table.resolve(("6CE0161689",), "v1-5-pruned-emaonly")      # a KnownCheckpoint, or why there is none

An image of a LoRA says only the hash of the checkpoint under it (paper section 3.1), mostly a short one.
AutoV2 is the first ten digits of the SHA256; AutoV1 is taken over a small part of a file, so that many files
share one. A hash that fits several files is decided by the name that the image gives, and if that does not
decide, not at all. One file that two pages offer is one file.
"""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from finetune.dabench.model_rules import Dropped
from retrieval.catalogue.names import normalise_name

_SHORTEST = 8
_AUTOV1 = 8


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A file of a version of a checkpoint.

    Attributes:
        hashes: AUTOV1, AUTOV2 and SHA256, in upper case.
        names: of the file, without its ending, and of the model.
        architecture: of the base model's family; None if it is of no known family.
        dropped: why the version may not be named; None if it may.
    """

    model_id: int
    version_id: int
    model: str
    family: str | None
    architecture: str | None
    hashes: tuple[str, ...]
    names: tuple[str, ...]
    dropped: str | None = None

    @property
    def sha256(self) -> str | None:
        """The full hash, if it is known."""
        return next((value for value in self.hashes if len(value) == 64), None)

    @property
    def identity(self) -> str:
        """Equal for one file on two pages."""
        return self.sha256 or f"version {self.version_id}"


class CheckpointHashes:
    """Looks checkpoints up by their hashes, or by the ids of their versions.

    Args:
        checkpoints: of files that one page offers again, those that may be named come first, then the oldest.
    """

    def __init__(self, checkpoints: Iterable[KnownCheckpoint]) -> None:
        self._files = sorted(checkpoints, key=lambda known: (known.dropped is not None, known.version_id))
        self._versions = {known.version_id: place for place, known in enumerate(self._files)}
        self._exact: dict[str, list[int]] = {}
        for place, known in enumerate(self._files):
            for value in known.hashes:
                self._exact.setdefault(value, []).append(place)
        self._sha256 = sorted(
            (sha, place) for place, known in enumerate(self._files) if (sha := known.sha256)
        )

    def __len__(self) -> int:
        """Files."""
        return len(self._files)

    def resolve(
        self, hashes: Sequence[str], name: str | None = None, versions: Sequence[int] = ()
    ) -> KnownCheckpoint | Dropped:
        """The checkpoint of the first hash that fits one, else of the first version.

        Args:
            hashes: in upper case, the longest first.
            name: of the file, as the image says it; decides where a short hash fits several files.
            versions: ids of Civitai's, which its own generator writes in place of hashes.
        """
        by_hash = self._of_hashes(hashes, name)
        if isinstance(by_hash, KnownCheckpoint):
            return by_hash
        found = next((self._versions[number] for number in versions if number in self._versions), None)
        if found is not None:
            return self._files[found]
        if versions and not hashes:
            return Dropped("base checkpoint is unknown", f"version {versions[0]}")
        return by_hash

    def _of_hashes(self, hashes: Sequence[str], name: str | None) -> KnownCheckpoint | Dropped:
        usable = [value for value in hashes if len(value) >= _SHORTEST]
        if not usable:
            return Dropped("base checkpoint has no hash", "no hash")
        ambiguous = 0
        for value in usable:
            found = self._fitting(value)
            files = {known.identity for known in found}
            if len(files) > 1 and name:
                key = normalise_name(PurePosixPath(name.replace("\\", "/")).name)
                found = [known for known in found if key in map(normalise_name, known.names)]
                ambiguous = max(ambiguous, len(files))
                files = {known.identity for known in found}
            if len(files) == 1:
                return found[0]
            ambiguous = max(ambiguous, len(files))
        if ambiguous:
            return Dropped("base checkpoint is ambiguous", f"{usable[-1]} fits {ambiguous} files")
        return Dropped("base checkpoint is unknown", usable[0])

    def _fitting(self, value: str) -> list[KnownCheckpoint]:
        places = set(self._exact.get(value, ()))
        if len(value) != _AUTOV1 or not places:
            start = bisect.bisect_left(self._sha256, (value, -1))
            while start < len(self._sha256) and self._sha256[start][0].startswith(value):
                places.add(self._sha256[start][1])
                start += 1
        return [self._files[place] for place in sorted(places)]
