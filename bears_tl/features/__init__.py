"""Features of photos: computed once by the body and cached on disk."""
