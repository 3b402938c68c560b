"""What `lakon check` finds in files before anything is paid for."""
