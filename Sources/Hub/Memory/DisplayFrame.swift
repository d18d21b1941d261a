import Buffers
import HubProtocol
import Platform

/// A display's composed frame: readable by whoever asks for a screenshot.
struct DisplayFrame {
  let description: BufferDescription
  let descriptor: SharedDescriptor

  init(_ description: BufferDescription, _ descriptor: consuming FileDescriptor) throws(Refusal) {
    self.description = description
    self.descriptor = SharedDescriptor(descriptor)
    _ = try CheckedMemory.file(self.descriptor.raw, offset: 0, byteCount: UInt64(description.layout.byteCount))
  }
}
