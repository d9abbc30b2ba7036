"""Every error this project raises on purpose. Imports nothing of it.

    DiffAgentError
    ├── InvalidInput (also a ValueError)
    │   ├── InvalidInstruction   a request that cannot be used: empty, too long, not text
    │   ├── RequestRefused       a request that no model is looked for: sexual content with minors
    │   ├── NoPictureAsked       a text that asks for no picture: a greeting, a question
    │   ├── NoModelFits          filters that no model of the catalogue passes
    │   ├── InvalidApi           text in which no T2I API can be found, or a record that may not be written
    │   ├── UnknownBaseModel     a base model of no known family
    │   └── UnknownSampler       a sampling method that no program offers
    ├── CatalogueError
    │   ├── CatalogueFormatError a broken line of a catalogue file
    │   └── UnknownModel         an id that the catalogue does not hold
    ├── DescriptionIndexError
    │   ├── IndexMissing         no index where one was looked for
    │   └── IndexMismatch        an index of another embedder, catalogue or schema
    ├── BaseModelError
    │   ├── BaseModelMissing     neither a folder, nor a cache, nor a network to load the language model from
    │   ├── BaseModelMismatch    files that are not the language model that was asked for
    │   └── ChecksumError        a download whose SHA256 is not the known one
    ├── AdapterError
    │   └── AdapterMismatch      an adapter trained for another base model or catalogue
    ├── ModelFileError
    │   ├── MissingModelFile     a checkpoint or LoRA that is not in the models folder
    │   ├── BrokenModelFile      a file that is no checkpoint or LoRA, or not one that is known here
    │   └── FetchError           a model file that cannot be fetched, or did not come whole
    ├── RenderError              a picture that cannot be made: device, memory, files that do not fit together
    ├── StorageError             a folder that cannot be written, a full disk
    ├── ServiceError             a web API that does not answer, or refuses
    ├── MissingExtra             a library that comes with an extra which is not installed
    └── TrainingError
        └── DataError            a data file that cannot be trained on

A caller who wants all of them:

    try:
        selection = selector.select("a corgi, pixel art")[0]
    except DiffAgentError as error:
        print(error)  # what was found, what is needed, what to do
"""

import copyreg
from collections.abc import Sequence
from typing import Any


class DiffAgentError(Exception):
    """Base of every error that this project raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is pickled by its arguments alone, and what is passed by its name is not among them
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class InvalidInput(DiffAgentError, ValueError):
    """Something that the caller passed cannot be used."""


class InvalidInstruction(InvalidInput):
    """The request is empty, too long, or not text."""


class RequestRefused(InvalidInput):
    """The request is one that DiffAgent does not help with."""


class NoPictureAsked(InvalidInput):
    """The text asks for no picture, so no model is proposed."""


class NoModelFits(InvalidInput):
    """No model of the catalogue passes the filters."""


class InvalidApi(InvalidInput):
    """No T2I API can be read out of the text, or the record may not be written."""


class UnknownBaseModel(InvalidInput):
    """A base model of no known family; `value` is what was given, `known` the names that would do."""

    def __init__(self, message: str, *, value: str, known: Sequence[str]) -> None:
        super().__init__(message)
        self.value = value
        self.known = tuple(known)


class UnknownSampler(InvalidInput):
    """A sampling method that no program offers; `nearest` are the closest known names."""

    def __init__(self, message: str, *, value: str, nearest: Sequence[str]) -> None:
        super().__init__(message)
        self.value = value
        self.nearest = tuple(nearest)


class CatalogueError(DiffAgentError):
    """The catalogue cannot give what was asked."""


class CatalogueFormatError(CatalogueError):
    """A broken line of a catalogue file: `path` and the one-based `line`."""

    def __init__(self, message: str, *, path: str, line: int) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class UnknownModel(CatalogueError):
    """An id that the catalogue does not hold."""


class DescriptionIndexError(DiffAgentError):
    """The description index cannot answer."""


class IndexMissing(DescriptionIndexError):
    """No index where one was looked for."""


class IndexMismatch(DescriptionIndexError):
    """The index was built with another embedder, catalogue or schema."""


class BaseModelError(DiffAgentError):
    """The language model under the selector cannot be used."""


class BaseModelMissing(BaseModelError):
    """The language model is neither on disk nor can it be fetched."""


class BaseModelMismatch(BaseModelError):
    """Files that are not the language model that was asked for."""


class ChecksumError(BaseModelError):
    """A download whose SHA256 is not the known one."""


class AdapterError(DiffAgentError):
    """The adapter cannot be used."""


class AdapterMismatch(AdapterError):
    """The adapter was trained for another base model or catalogue."""


class ModelFileError(DiffAgentError):
    """A file of a text-to-image model cannot be used."""


class MissingModelFile(ModelFileError):
    """A checkpoint or LoRA is not in the models folder."""


class BrokenModelFile(ModelFileError):
    """A file is no checkpoint or LoRA, or of an architecture that is not known here."""


class FetchError(ModelFileError):
    """A model file cannot be fetched, or did not come whole."""


class RenderError(DiffAgentError):
    """A picture cannot be made: device, memory, or files that do not fit together."""


class StorageError(DiffAgentError):
    """A folder cannot be written or the disk is full."""


class ServiceError(DiffAgentError):
    """A web API does not answer, or refuses."""


class MissingExtra(DiffAgentError):
    """A library is not there that comes with an extra of this package."""


class TrainingError(DiffAgentError):
    """Training cannot start or go on."""


class DataError(TrainingError):
    """A data file cannot be trained on."""
