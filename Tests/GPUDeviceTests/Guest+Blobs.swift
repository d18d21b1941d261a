import Buffers
import GPUDevice
import Testing
import Virtqueue

extension Guest {
  /// A command that makes a blob.
  static func blob(
    _ id: UInt32, _ byteCount: UInt64, memory: UInt32 = 1, flags: UInt32 = 0, entryCount: UInt32 = 0, blob: UInt64 = 0
  ) -> Command {
    .resourceCreateBlob(
      Command.CreateBlob(
        resource: ResourceID(rawValue: id), memory: memory, flags: flags, entryCount: entryCount, blob: blob,
        byteCount: byteCount))
  }

  /// A blob in guest memory.
  func createBlob(
    _ id: UInt32, _ byteCount: UInt64, _ entries: [MemoryEntry], flags: UInt32 = 0, claiming count: UInt32? = nil
  ) throws -> ResponseCode? {
    let command = Self.blob(id, byteCount, flags: flags, entryCount: count ?? UInt32(entries.count))
    return try send(command.encoded() + entries.flatMap(\.encoded))?.code
  }

  /// A mappable blob in the host's memory.
  func createHostBlob(_ id: UInt32, _ byteCount: UInt64 = 8192, flags: UInt32 = 1) throws -> ResponseCode? {
    try code(Self.blob(id, byteCount, memory: 2, flags: flags))
  }

  func showBlob(
    _ id: UInt32, on scanout: UInt32 = 0, width: UInt32 = 64, height: UInt32 = 64, stride: UInt32 = 256,
    offset: UInt32 = 0, format: UInt32 = 2, source: Rectangle? = nil
  ) throws -> ResponseCode? {
    let size = Size(width: width, height: height)
    return try code(
      .setScanoutBlob(
        Command.SetScanoutBlob(
          source: source ?? Rectangle(size), scanout: ScanoutID(rawValue: scanout),
          resource: ResourceID(rawValue: id), size: size, format: format, stride: stride, offset: offset)))
  }

  /// A 64 x 64 blob in pages that lie in the reverse order; where its first byte and its last page are.
  @discardableResult
  func pages(_ count: Int, seed: UInt8 = 1) throws -> [MemoryEntry] {
    let area = try arena.allocate(count * 4096, alignment: 4096)
    try arena.write(Guest.pattern(count * 4096, seed: seed), at: area)
    return (0..<count).reversed().map { page in
      MemoryEntry(address: GuestAddress(area.rawValue + UInt64(page) * 4096), length: 4096)
    }
  }

  /// The bytes of entries, one after the other.
  func bytes(_ entries: [MemoryEntry]) throws -> [UInt8] {
    try entries.flatMap { try arena.read(at: $0.address, count: Int($0.length)) }
  }

  // MARK: The host-visible region

  func map(_ id: UInt32, at offset: UInt64) throws -> UInt16 {
    try post(.resourceMapBlob(ResourceID(rawValue: id), offset: offset), room: 32)
  }

  func unmap(_ id: UInt32) throws -> UInt16 {
    try post(.resourceUnmapBlob(ResourceID(rawValue: id)), room: 32)
  }

  /// Sends a command that nobody has to be waited for; its answer's code.
  func now(_ token: UInt16) throws -> ResponseCode? {
    kick()
    guard completed() == [token] else { return nil }
    return try answer(to: token)?.type.code
  }

  /// Answers what the window was asked for since the last call.
  func answerWindow(_ succeeded: Bool = true) {
    let changes = window.changes.dropFirst(answeredChanges)
    answeredChanges = window.changes.count
    for change in changes { device.sharedMemoryChanged(change.ticket, succeeded: succeeded) }
  }

  /// A mappable blob of two pages that the guest sees.
  func mappedBlob(_ id: UInt32, at offset: UInt64 = 0) throws {
    #expect(try createHostBlob(id) == .okNoData)
    let token = try map(id, at: offset)
    kick()
    answerWindow()
    #expect(completed() == [token])
  }
}

extension UInt32 {
  /// The code of an answer's type.
  var code: ResponseCode? { ResponseCode(rawValue: self) }
}
