"""What pylibjpeg-openjpeg 2.6.0 makes of the JPEG 2000 files of the corpus: no program of Debian's decodes them for us.

SHA-256 (its first 16 digits) of the decoded samples, by the file's place in the corpus.
"""

from __future__ import annotations

JPEG_2000_SAMPLES = {
    "PantelisGeorgiadis__dcmjs-dimse/j2k.dcm": "69309e6b26b5e584",
    "cornerstonejs__cornerstone3D/CT1_J2KR": "1add6ede29758c6f",
    "cornerstonejs__cornerstone3D/CT2_J2KR": "ddaf7fb6a05bf7ac",
    "cornerstonejs__cornerstone3D/CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm": "1bee432808f49770",  # noqa: E501
    "cornerstonejs__cornerstone3D/CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90_1.dcm": "1bee432808f49770",  # noqa: E501
    "cornerstonejs__cornerstone3D/CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm": "ca3472c2d32b272f",
    "cornerstonejs__cornerstone3D/CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91_1.dcm": "ca3472c2d32b272f",
    "dcmjs-org__dcmjs/IM-0001-0001.dcm": "eec47a70af6d0c25",
    "grailbio__go-dicom/IM-0001-0001.dcm": "23d0f8b6060b94ab",
    "grailbio__go-dicom/IM-0001-0002.dcm": "f7533818a8e812d0",
    "grailbio__go-dicom/IM-0001-0003.dcm": "20b2a7168056bfc3",
    "nipy__nibabel/slicethickness_empty_string.dcm": "02385c36ed2f1a39",
    "pydicom__pydicom-data/liver_j2k.dcm": "b022303f9581eb6f",
    "pydicom__pylibjpeg-data/ELSCINT1_JP2vsJ2K.dcm": "d76122b17b348685",
    "pydicom__pylibjpeg-data/MAROTECH_CT_JP2Lossy.dcm": "5073c3e06f25a3c2",
    "pydicom__pylibjpeg-data/OsirixFake16BitsStoredFakeSpacing.dcm": "cab7acb042b2af34",
    "pydicom__pylibjpeg-data/TOSHIBA_J2K_OpenJPEGv2Regression.dcm": "5cfe7618c3a0510f",
    "pydicom__pylibjpeg-data/TOSHIBA_J2K_SIZ0_PixRep1.dcm": "587b5852a5d3873b",
    "pydicom__pylibjpeg-data/TOSHIBA_J2K_SIZ1_PixRep0.dcm": "587b5852a5d3873b",
    "robyoung__dicom-test-files/CT2_J2KI": "679e639bdd37e010",
    "robyoung__dicom-test-files/MR1_J2KI": "41ffc90f6533d2e7",
    "robyoung__dicom-test-files/MR1_J2KR": "2541a628cb676972",
    "robyoung__dicom-test-files/MR3_J2KI": "6e94f5f62411457a",
    "robyoung__dicom-test-files/MR3_J2KR": "9d32a2a63e3980d0",
    "robyoung__dicom-test-files/MR4_J2KI": "9ebdcf7cbe8d2a95",
    "robyoung__dicom-test-files/MR4_J2KR": "9c7574cb23eef7f9",
    "robyoung__dicom-test-files/NM1_J2KI": "0b1224a6dcd0dceb",
    "robyoung__dicom-test-files/RG2_J2KI": "169370ce006f98fc",
    "robyoung__dicom-test-files/SC1_J2KI": "f3095bcf64bf259a",
    "robyoung__dicom-test-files/VL1_J2KI": "f96fbd0a437f8923",
    "robyoung__dicom-test-files/VL1_J2KR": "30bf6a11b15358a6",
    "robyoung__dicom-test-files/VL2_J2KI": "d14906dcb96dcf04",
    "robyoung__dicom-test-files/VL3_J2KI": "229eab6e379787da",
    "robyoung__dicom-test-files/VL3_J2KR": "e4a56ff20593c585",
    "robyoung__dicom-test-files/VL4_J2KI": "a2b621f9b4573dd1",
    "robyoung__dicom-test-files/VL6_J2KI": "cee42f365a5aff98",
    "robyoung__dicom-test-files/VL6_J2KR": "2ccf3ac25d0a394a",
    "robyoung__dicom-test-files/XA1_J2KI": "c61222c66b6a9c5f",
    "robyoung__dicom-test-files/XA1_J2KR": "797b3375a2d1f94c",
}
