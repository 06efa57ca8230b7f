"""Features of photos: computed once by the body, kept in a cache on disk."""
