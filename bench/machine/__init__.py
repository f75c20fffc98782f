"""What the machine tells: its parts, devices, memory, energy, peaks."""
