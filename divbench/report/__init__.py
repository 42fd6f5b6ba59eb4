"""Tables of results; later figures and pages. No torch in here."""
