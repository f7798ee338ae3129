"""What a run leaves behind: files that are whole or absent, never half-written and never overwritten."""
