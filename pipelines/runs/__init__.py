"""The run folder: files, manifest, loading, copies."""
