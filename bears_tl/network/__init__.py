"""Download files: resume, retry, and interpret the server's responses."""
