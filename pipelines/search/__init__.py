"""From a step function or logits to answers: beam search, sampling, CTC decoding, n-gram language models."""
