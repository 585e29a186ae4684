"""Callbacks that run during training: they evaluate metrics, write records and show progress."""

from tsl.callbacks.certificate_records import CertificateRecords
from tsl.callbacks.for_run import for_run
from tsl.callbacks.run_files import RunFiles
from tsl.callbacks.run_logger import RunLogger
from tsl.callbacks.run_progress import RunProgress
from tsl.callbacks.seed_records import SeedRecords
from tsl.callbacks.specialization_records import SpecializationRecords

__all__ = [
    "CertificateRecords",
    "RunFiles",
    "RunLogger",
    "RunProgress",
    "SeedRecords",
    "SpecializationRecords",
    "for_run",
]
