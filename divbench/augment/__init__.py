"""What is done to images before a network sees them, batch by batch on their device."""
