import GPUDevice
import Platform

/// How many pieces of memory files are mapped at once: the system bounds a process's mappings, and other things need
/// some, too.
final class PieceCount {
  private let limit: Int
  private var count = 0

  init(limit: Int = MemoryMapping.maximumPieces / 2) { self.limit = limit }

  /// Room for so many, until it is let go.
  func take(_ wanted: Int) throws(GPUError) -> Room {
    guard wanted <= limit - count else { throw .contextCommand("more than \(limit) pieces of VMs' memory") }
    count += wanted
    return Room(self, wanted)
  }

  /// Pieces that are mapped, or about to be.
  final class Room {
    private let owner: PieceCount
    private let count: Int

    fileprivate init(_ owner: PieceCount, _ count: Int) {
      self.owner = owner
      self.count = count
    }

    deinit { owner.count -= count }
  }
}
