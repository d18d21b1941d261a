// Commands and ids are part of what this module speaks of.
@_exported import GPUProtocol
