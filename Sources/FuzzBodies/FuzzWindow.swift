import GPUDevice
import Platform
import Virtqueue

/// A transport that checks what it is asked for, and does it when it likes.
final class FuzzWindow: SharedMemoryWindow {
  private struct Change {
    let piece: SharedMemoryPiece
    let isMap: Bool
    let ticket: SharedMemoryTicket
  }

  /// Whether changes are taken.
  var isOpen = true
  private var changes: [Change] = []
  /// What the guest sees.
  private var mapped: [SharedMemoryPiece] = []

  func map(
    _ piece: SharedMemoryPiece, of file: SharedDescriptor, isWritable: Bool, _ ticket: SharedMemoryTicket
  ) -> Bool {
    precondition(piece.byteCount > 0 && piece.byteCount % 4096 == 0 && piece.offset % 4096 == 0, "misaligned")
    guard isOpen else { return false }
    changes.append(Change(piece: piece, isMap: true, ticket: ticket))
    return true
  }

  func unmap(_ piece: SharedMemoryPiece, _ ticket: SharedMemoryTicket) -> Bool {
    guard isOpen else { return false }
    changes.append(Change(piece: piece, isMap: false, ticket: ticket))
    return true
  }

  /// Makes all changes that were asked for, or none of them.
  func answerAll(_ device: GPUDevice, succeeded: Bool) {
    let asked = changes
    changes = []
    for change in asked {
      let isDone = succeeded && make(change)
      device.sharedMemoryChanged(change.ticket, succeeded: isDone)
    }
  }

  /// The guest is another one.
  func forget() {
    mapped = []
  }

  private func make(_ change: Change) -> Bool {
    let (start, end) = (change.piece.offset, change.piece.offset + change.piece.byteCount)
    guard change.isMap else {
      guard let index = mapped.firstIndex(of: change.piece) else { return false }
      mapped.remove(at: index)
      return true
    }
    precondition(end <= 1 << 20, "outside of the region")
    // A mapping whose end the transport did not take may still be there.
    if mapped.contains(where: { $0.offset < end && start < $0.offset + $0.byteCount }) { return false }
    mapped.append(change.piece)
    return true
  }
}
