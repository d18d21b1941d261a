import Platform
import Virtqueue

/// A transport that remembers what it was asked to map, and answers when the test says so.
final class FakeWindow: SharedMemoryWindow {
  struct Change {
    var piece: SharedMemoryPiece
    var file: SharedDescriptor?
    var isWritable = false
    var ticket: SharedMemoryTicket
  }

  var changes: [Change] = []
  /// Whether changes are taken.
  var isOpen = true

  func map(
    _ piece: SharedMemoryPiece, of file: SharedDescriptor, isWritable: Bool, _ ticket: SharedMemoryTicket
  ) -> Bool {
    take(Change(piece: piece, file: file, isWritable: isWritable, ticket: ticket))
  }

  func unmap(_ piece: SharedMemoryPiece, _ ticket: SharedMemoryTicket) -> Bool {
    take(Change(piece: piece, file: nil, ticket: ticket))
  }

  private func take(_ change: Change) -> Bool {
    if isOpen { changes.append(change) }
    return isOpen
  }

  /// What was asked for, as "map 0+4096" and "unmap 0+4096".
  var texts: [String] {
    changes.map { "\($0.file == nil ? "unmap" : "map") \($0.piece.offset)+\($0.piece.byteCount)" }
  }
}
