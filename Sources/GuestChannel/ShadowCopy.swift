import Buffers
import GPUDevice
import Glibc
import HubProtocol
import Platform

/// A guest's own copy of a buffer that it may only read: no VMM that is known maps memory for its guest read-only. It is
/// brought up to date by damage, before the guest is told of an update.
final class ShadowCopy {
  /// The copy, which the guest pays for.
  let memory: HostMemory
  private let source: ReadOnlyBuffer

  /// Copies the whole picture.
  init(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, in files: [MemoryFileID: ReadOnlyBuffer.VMMemory],
    into memory: HostMemory
  ) throws(GPUError) {
    self.memory = memory
    do {
      source = try Self.source(info, descriptor, files)
    } catch {
      throw .contextCommand("a buffer that cannot be read: \(error)")
    }
    refresh(Rectangle(source.layout.size))
  }

  /// What is copied: a file, or pages of another VM, which may take them away: then there are zeros.
  private static func source(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, _ files: [MemoryFileID: ReadOnlyBuffer.VMMemory]
  ) throws -> ReadOnlyBuffer {
    let buffer = info.buffer
    guard info.memory.kind == .ranges else {
      return try ReadOnlyBuffer(
        id: buffer.id, layout: buffer.layout, descriptor: descriptor.raw, offset: info.memory.offset)
    }
    return try ReadOnlyBuffer(
      id: buffer.id, layout: buffer.layout, ranges: try RangeTable(file: descriptor.raw), of: { files[$0] },
      bell: try Doorbell())
  }

  /// Copies a rectangle of the picture.
  func refresh(_ damage: Rectangle) {
    let layout = source.layout
    let damage = damage.intersection(Rectangle(layout.size))
    guard !damage.isEmpty, let target = try? memory.mutableBytes(), layout.byteCount <= target.count,
      let to = target.baseAddress, let from = source.bytes.baseAddress
    else { return }
    source.beginReading()
    defer { source.endReading() }
    let width = Int(damage.width) * Int(layout.format.bytesPerPixel)
    for row in 0..<damage.height {
      let place = layout.byteOffset(x: damage.x, y: damage.y + row)
      memcpy(to + place, from + place, width)
    }
  }

  /// The guest reads zeros from now on.
  func empty() { try? memory.punch() }
}
