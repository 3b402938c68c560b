"""What expressions are worth, exactly or at sample points."""
