"""From files to the two canonical tables: names, units, runs, restarts, and a note for every change."""
