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
  init(_ info: BufferInfo, _ descriptor: SharedDescriptor, into memory: HostMemory) throws(GPUError) {
    self.memory = memory
    do {
      source = try ReadOnlyBuffer(
        id: info.buffer.id, layout: info.buffer.layout, descriptor: descriptor.raw, offset: info.memory.offset)
    } catch {
      throw .contextCommand("a buffer that cannot be read: \(error)")
    }
    refresh(Rectangle(source.layout.size))
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
