"""Speech: a recording -> its transcript, with the time of every word."""
