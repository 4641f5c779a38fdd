"""Identity providers: decisions about their documents, tokens and accounts. No I/O."""
