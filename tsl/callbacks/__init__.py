"""What runs during training: evaluate metrics and write records."""

from tsl.callbacks.specialization_records import SpecializationRecords

__all__ = ["SpecializationRecords"]
