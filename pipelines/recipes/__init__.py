"""What several tasks share: settings, loss, decoding, answers and serving."""
