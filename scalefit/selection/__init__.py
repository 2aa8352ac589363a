"""Which law to use: candidates from declarations, each judged on held-out runs, and the mixture of the good ones."""
