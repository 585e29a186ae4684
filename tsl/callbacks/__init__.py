"""What runs during training: evaluate metrics, write records, tell how far it is."""

from tsl.callbacks.certificate_records import CertificateRecords
from tsl.callbacks.run_progress import RunProgress
from tsl.callbacks.specialization_records import SpecializationRecords
from tsl.callbacks.wandb_board import WandbBoard

__all__ = ["CertificateRecords", "RunProgress", "SpecializationRecords", "WandbBoard"]
