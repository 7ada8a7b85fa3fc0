"""The door: DICOM comes in and is in custody before the peer hears success."""
