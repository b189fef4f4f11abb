"""What can be wrong with a file as a whole. Such a file is quarantined, and no row of it is taken.

Only a disk that fails while a large file is being loaded in parts is noticed too late for that: the rows of the parts
before stay, and the balance of the file says how many they are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFault:
    """A reason to quarantine a file.

    Parameters
    ----------
    code:
        Stored in ``shop.files.fault``.
    message:
        What it means and what to do, for the person who finds the file in quarantine.
    """

    code: str
    message: str


FILE_FAULTS = {
    fault.code: fault
    for fault in (
        FileFault("header_missing", "The first line is not a header. Add one that names every column of the contract."),
        FileFault("header_column_missing", "The header lacks columns of the contract. Add them and deliver again."),
        FileFault("header_column_repeated", "The header names a column twice. Keep one of them and deliver again."),
        FileFault("header_too_wide", "The header is longer than any table's. Deliver a CSV file with its own header."),
        FileFault("not_a_regular_file", "Only regular files are read. Deliver a file, not a link, pipe or folder."),
        FileFault("not_utf8", "The file is not UTF-8. Convert it (for example with iconv) and deliver again."),
        FileFault("gzip_damaged", "The gzip stream is truncated or damaged. Compress and deliver it again."),
        FileFault("too_large", "Unpacked, the file is over SHOPSTREAM_MAX_FILE_BYTES. Split it and deliver the parts."),
        FileFault("poison", "Loading it failed again and again, also alone. Mend what the error says, then redeliver."),
        FileFault("unreadable", "The file could not be read. Check its permissions and the disk, and deliver again."),
    )
}
