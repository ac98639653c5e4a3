"""Pictures: reading, pixels, features of frozen networks, file layouts."""
