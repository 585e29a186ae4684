"""What runs during training: evaluate metrics, write records, tell how far it is."""

from tsl.callbacks.certificate_records import CertificateRecords
from tsl.callbacks.run_progress import RunProgress
from tsl.callbacks.specialization_records import SpecializationRecords

__all__ = ["CertificateRecords", "RunProgress", "SpecializationRecords"]
