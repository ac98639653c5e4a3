"""Where an answer comes from: attribution, and the pictures that show it."""
