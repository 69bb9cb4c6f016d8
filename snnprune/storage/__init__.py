"""The one place that opens files: atomic writing, and readers that check everything before they hand it on."""

from .arrays import Header, damaged, read_arrays, write_arrays
from .atomic import append_line, remove_leftovers, write_atomically, write_text
from .json_files import canonical_json, finite, json_text, parse_json, read_json, read_object, write_json
from .opening import MissingFile, as_path, exists, make_folder, read_bytes, read_text
from .tensors import read_tensors, write_tensors
from .toml_files import parse_toml, read_toml, read_toml_text

__all__ = [
    "Header",
    "MissingFile",
    "append_line",
    "as_path",
    "canonical_json",
    "damaged",
    "exists",
    "finite",
    "json_text",
    "make_folder",
    "parse_json",
    "parse_toml",
    "read_arrays",
    "read_bytes",
    "read_json",
    "read_object",
    "read_tensors",
    "read_text",
    "read_toml",
    "read_toml_text",
    "remove_leftovers",
    "write_arrays",
    "write_atomically",
    "write_json",
    "write_tensors",
    "write_text",
]
