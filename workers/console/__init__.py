"""What a user of the command line gets: errors, exit codes and printed data, alike in every command."""
