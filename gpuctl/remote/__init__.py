"""OpenSSH, rsync and tmux on the user's side: argv in, results out."""
