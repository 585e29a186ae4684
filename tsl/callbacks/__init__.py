"""What runs during training: evaluate metrics and write records."""

from tsl.callbacks.certificate_records import CertificateRecords
from tsl.callbacks.specialization_records import SpecializationRecords
from tsl.callbacks.wandb_board import WandbBoard

__all__ = ["CertificateRecords", "SpecializationRecords", "WandbBoard"]
