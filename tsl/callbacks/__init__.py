"""What runs during training: evaluate metrics and write records."""

from tsl.callbacks.certificate_records import CertificateRecords
from tsl.callbacks.specialization_records import SpecializationRecords

__all__ = ["CertificateRecords", "SpecializationRecords"]
