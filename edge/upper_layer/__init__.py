"""The DICOM upper layer of this node (PS3.8) for the bytes of C-STORE: blocking, one thread, no copies."""
