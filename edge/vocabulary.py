"""The attributes that rules and the privacy section may name: an allow-list, so that a misspelt name is an error.

Tags, VRs and keywords are those of PS3.6 chapter 6. The kind follows from the VR: how a rule sees the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["text", "integer", "decimal", "texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of the top level of a data set that the edge reads."""

    tag: int
    """Group and element number, `0x00100020` for (0010,0020)."""
    kind: Kind
    """How a rule sees it: text, whole number, decimal number, or a list of texts."""
    vr: str
    """Value representation by PS3.6, for data sets that do not carry it (Implicit VR, UN)."""


_TABLE: tuple[tuple[str, int, str, Kind], ...] = (
    # Instance and its place in time
    ("SpecificCharacterSet", 0x00080005, "CS", "texts"),
    ("ImageType", 0x00080008, "CS", "texts"),
    ("InstanceCreationDate", 0x00080012, "DA", "text"),
    ("InstanceCreationTime", 0x00080013, "TM", "text"),
    ("SOPClassUID", 0x00080016, "UI", "text"),
    ("SOPInstanceUID", 0x00080018, "UI", "text"),
    ("StudyDate", 0x00080020, "DA", "text"),
    ("SeriesDate", 0x00080021, "DA", "text"),
    ("AcquisitionDate", 0x00080022, "DA", "text"),
    ("ContentDate", 0x00080023, "DA", "text"),
    ("AcquisitionDateTime", 0x0008002A, "DT", "text"),
    ("StudyTime", 0x00080030, "TM", "text"),
    ("SeriesTime", 0x00080031, "TM", "text"),
    ("AcquisitionTime", 0x00080032, "TM", "text"),
    ("ContentTime", 0x00080033, "TM", "text"),
    ("AccessionNumber", 0x00080050, "SH", "text"),
    ("Modality", 0x00080060, "CS", "text"),
    ("ConversionType", 0x00080064, "CS", "text"),
    ("PresentationIntentType", 0x00080068, "CS", "text"),
    # Equipment and people around it
    ("Manufacturer", 0x00080070, "LO", "text"),
    ("InstitutionName", 0x00080080, "LO", "text"),
    ("ReferringPhysicianName", 0x00080090, "PN", "text"),
    ("TimezoneOffsetFromUTC", 0x00080201, "SH", "text"),
    ("StationName", 0x00081010, "SH", "text"),
    ("StudyDescription", 0x00081030, "LO", "text"),
    ("SeriesDescription", 0x0008103E, "LO", "text"),
    ("InstitutionalDepartmentName", 0x00081040, "LO", "text"),
    ("PerformingPhysicianName", 0x00081050, "PN", "texts"),
    ("OperatorsName", 0x00081070, "PN", "texts"),
    ("ManufacturerModelName", 0x00081090, "LO", "text"),
    ("DerivationDescription", 0x00082111, "ST", "text"),
    # Patient
    ("PatientName", 0x00100010, "PN", "text"),
    ("PatientID", 0x00100020, "LO", "text"),
    ("IssuerOfPatientID", 0x00100021, "LO", "text"),
    ("TypeOfPatientID", 0x00100022, "CS", "text"),
    ("PatientBirthDate", 0x00100030, "DA", "text"),
    ("PatientSex", 0x00100040, "CS", "text"),
    ("OtherPatientIDs", 0x00101000, "LO", "texts"),
    ("PatientAge", 0x00101010, "AS", "text"),
    ("PatientSize", 0x00101020, "DS", "decimal"),
    ("PatientWeight", 0x00101030, "DS", "decimal"),
    ("MedicalAlerts", 0x00102000, "LO", "texts"),
    ("Allergies", 0x00102110, "LO", "texts"),
    ("PregnancyStatus", 0x001021C0, "US", "integer"),
    ("PatientComments", 0x00104000, "LT", "text"),
    ("PatientIdentityRemoved", 0x00120062, "CS", "text"),
    ("DeidentificationMethod", 0x00120063, "LO", "texts"),
    # Clinical trial
    ("ClinicalTrialSponsorName", 0x00120010, "LO", "text"),
    ("ClinicalTrialProtocolID", 0x00120020, "LO", "text"),
    ("ClinicalTrialProtocolName", 0x00120021, "LO", "text"),
    ("ClinicalTrialSiteID", 0x00120030, "LO", "text"),
    ("ClinicalTrialSubjectID", 0x00120040, "LO", "text"),
    ("ClinicalTrialTimePointID", 0x00120050, "LO", "text"),
    # Acquisition
    ("ContrastBolusAgent", 0x00180010, "LO", "text"),
    ("BodyPartExamined", 0x00180015, "CS", "text"),
    ("ScanningSequence", 0x00180020, "CS", "texts"),
    ("SequenceVariant", 0x00180021, "CS", "texts"),
    ("ScanOptions", 0x00180022, "CS", "texts"),
    ("MRAcquisitionType", 0x00180023, "CS", "text"),
    ("SequenceName", 0x00180024, "SH", "text"),
    ("SliceThickness", 0x00180050, "DS", "decimal"),
    ("KVP", 0x00180060, "DS", "decimal"),
    ("RepetitionTime", 0x00180080, "DS", "decimal"),
    ("EchoTime", 0x00180081, "DS", "decimal"),
    ("MagneticFieldStrength", 0x00180087, "DS", "decimal"),
    ("SpacingBetweenSlices", 0x00180088, "DS", "decimal"),
    ("DeviceSerialNumber", 0x00181000, "LO", "text"),
    ("SecondaryCaptureDeviceManufacturer", 0x00181016, "LO", "text"),
    ("SoftwareVersions", 0x00181020, "LO", "texts"),
    ("ProtocolName", 0x00181030, "LO", "text"),
    ("ReconstructionDiameter", 0x00181100, "DS", "decimal"),
    ("ExposureTime", 0x00181150, "IS", "integer"),
    ("XRayTubeCurrent", 0x00181151, "IS", "integer"),
    ("Exposure", 0x00181152, "IS", "integer"),
    ("ConvolutionKernel", 0x00181210, "SH", "texts"),
    ("PatientPosition", 0x00185100, "CS", "text"),
    ("ViewPosition", 0x00185101, "CS", "text"),
    # Relationship
    ("StudyInstanceUID", 0x0020000D, "UI", "text"),
    ("SeriesInstanceUID", 0x0020000E, "UI", "text"),
    ("StudyID", 0x00200010, "SH", "text"),
    ("SeriesNumber", 0x00200011, "IS", "integer"),
    ("AcquisitionNumber", 0x00200012, "IS", "integer"),
    ("InstanceNumber", 0x00200013, "IS", "integer"),
    ("PatientOrientation", 0x00200020, "CS", "texts"),
    ("FrameOfReferenceUID", 0x00200052, "UI", "text"),
    ("Laterality", 0x00200060, "CS", "text"),
    ("ImageLaterality", 0x00200062, "CS", "text"),
    ("ImagesInAcquisition", 0x00201002, "IS", "integer"),
    ("ImageComments", 0x00204000, "LT", "text"),
    # Pixels, told from the header alone
    ("SamplesPerPixel", 0x00280002, "US", "integer"),
    ("PhotometricInterpretation", 0x00280004, "CS", "text"),
    ("NumberOfFrames", 0x00280008, "IS", "integer"),
    ("Rows", 0x00280010, "US", "integer"),
    ("Columns", 0x00280011, "US", "integer"),
    ("BitsAllocated", 0x00280100, "US", "integer"),
    ("BitsStored", 0x00280101, "US", "integer"),
    ("BurnedInAnnotation", 0x00280301, "CS", "text"),
    ("LossyImageCompression", 0x00282110, "CS", "text"),
    # Request and performed step
    ("RequestingPhysician", 0x00321032, "PN", "text"),
    ("RequestingService", 0x00321033, "LO", "text"),
    ("RequestedProcedureDescription", 0x00321060, "LO", "text"),
    ("AdmissionID", 0x00380010, "LO", "text"),
    ("CurrentPatientLocation", 0x00380300, "LO", "text"),
    ("PerformedStationAETitle", 0x00400241, "AE", "text"),
    ("PerformedProcedureStepID", 0x00400253, "SH", "text"),
    ("PerformedProcedureStepDescription", 0x00400254, "LO", "text"),
)

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {keyword: Attribute(tag=tag, kind=kind, vr=vr) for keyword, tag, vr, kind in _TABLE}
)
"""DICOM keyword -> attribute, in the order of the documentation's table."""
