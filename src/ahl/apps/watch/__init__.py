"""Images that arrive in a folder are scored and moved by their verdict, each exactly once."""
