"""`make demo`: a mesh of real processes on this machine, fed with real files, and checked."""
