"""What crosses the wire: frozen models of every event, their envelope, their topics."""
