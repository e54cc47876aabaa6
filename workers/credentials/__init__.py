"""What proves to Kafka who we are: certificates, passwords, tokens. Each is read again when it changes."""
