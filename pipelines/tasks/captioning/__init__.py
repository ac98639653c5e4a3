"""Captioning: a picture -> a sentence that describes it, with where each word looked."""
