"""What proxies train on: text as bytes, token files, and synthetic tasks whose laws are known."""
