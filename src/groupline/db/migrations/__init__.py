"""The history of the schema. Applied migrations are never edited; there is only forward."""
