// Addresses, configuration and layout of the rings are part of what this module speaks of.
@_exported import VirtioRing
