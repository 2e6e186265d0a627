"""What people look at: the overview of the spool, and how it is put on a screen."""
