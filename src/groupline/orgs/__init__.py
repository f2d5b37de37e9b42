"""Organizations and their people: members, roles, logins and API keys."""
