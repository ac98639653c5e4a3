"""Built-in data, one module a task: small worlds in which the order of the sequence decides."""
