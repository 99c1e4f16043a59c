"""One piece of work in a fresh process: started, listened to, ended whole."""
