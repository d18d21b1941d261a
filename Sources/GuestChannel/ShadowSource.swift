import Buffers
import GPUDevice
import HubProtocol
import Platform

/// Other VMs' memory files, as they come before a buffer in them.
typealias VMFiles = [MemoryFileID: ReadOnlyBuffer.VMMemory]

/// An owner's images, as the importer's card reads them.
final class ShadowSource {
  private let images: [Image]
  private let room: PieceCount.Room?

  private struct Image {
    let buffer: ReadOnlyBuffer
    /// Where it begins in the buffer's bytes.
    let start: Int
  }

  /// Maps what was acquired; `files` are those that its ranges are in.
  init(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, in files: VMFiles, _ pieces: PieceCount
  ) throws(GPUError) {
    guard let chain = ImageChain(count: info.images, byteCount: info.memory.byteCount, layout: info.buffer.layout)
    else { throw .contextCommand("images that do not fit their memory") }
    let table = info.memory.kind == .ranges ? try Self.table(descriptor) : nil
    if let table { room = try pieces.take(table.ranges.count) } else { room = nil }
    do {
      images =
        info.memory.kind == .file
        ? try Self.images(info, chain, descriptor) : try Self.images(info, chain, of: descriptor, table, files)
    } catch {
      throw .contextCommand("a buffer that cannot be read: \(error)")
    }
  }

  private static func table(_ file: SharedDescriptor) throws(GPUError) -> RangeTable {
    do throws(RangeTableError) {
      return try RangeTable(file: file.raw)
    } catch {
      throw .contextCommand("a buffer that cannot be read: \(error)")
    }
  }

  private static func images(
    _ info: BufferInfo, _ chain: ImageChain, _ descriptor: SharedDescriptor
  ) throws -> [Image] {
    try (0..<chain.count).map { image in
      let offset = info.memory.offset &+ chain.offset(of: image)
      return Image(
        buffer: try ReadOnlyBuffer(
          id: info.buffer.id, layout: info.buffer.layout, descriptor: descriptor.raw, offset: offset), start: 0)
    }
  }

  /// Pages of another VM, which may take them away: then there are zeros.
  private static func images(
    _ info: BufferInfo, _ chain: ImageChain, of descriptor: SharedDescriptor, _ table: RangeTable?, _ files: VMFiles
  ) throws -> [Image] {
    let layout = info.buffer.layout
    let last = PixelLayout(
      size: layout.size, format: layout.format, stride: layout.stride,
      offset: layout.offset + chain.offset(of: chain.count - 1))
    guard let last else { throw GPUError.contextCommand("images that do not fit their memory") }
    let buffer =
      if let table {
        try ReadOnlyBuffer(id: info.buffer.id, layout: last, ranges: table, of: { files[$0] })
      } else {
        try ReadOnlyBuffer(id: info.buffer.id, layout: last, dmaBuf: descriptor)
      }
    return (0..<chain.count).map { Image(buffer: buffer, start: Int(clamping: chain.offset(of: $0))) }
  }

  /// Reads the image that a generation is in.
  func read(_ generation: UInt64, _ body: (UnsafeRawBufferPointer) -> Void) {
    let image = images[Int(generation % UInt64(images.count))]
    image.buffer.beginReading()
    defer { image.buffer.endReading() }
    body(UnsafeRawBufferPointer(rebasing: image.buffer.bytes[min(image.start, image.buffer.bytes.count)...]))
  }
}
