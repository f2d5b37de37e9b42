"""What speaks WhatsApp, or pretends to: one engine per gateway."""
