import Glibc

/// Pages of a file, as a part of a mapping of several.
public struct MappingPiece: Sendable {
  /// The open file.
  public var descriptor: Int32
  /// Where the pages begin, whole pages from the file's start.
  public var offset: UInt64
  /// How many bytes, whole pages.
  public var count: Int

  /// Pages of a file.
  public init(descriptor: Int32, offset: UInt64, count: Int) {
    self.descriptor = descriptor
    self.offset = offset
    self.count = count
  }
}

extension MemoryMapping {
  /// Maps pieces of files side by side, in this order, for reading. They go together.
  public convenience init(_ pieces: some Collection<MappingPiece>) throws(SystemError) {
    let count = try Self.total(of: pieces)
    // The room first: nothing else comes to lie in it, and it is given back whole if a piece cannot be mapped.
    guard let base = mmap(nil, count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      base != MAP_FAILED
    else { throw .last("mmap") }
    var place = base
    for piece in pieces {
      guard mmap(place, piece.count, PROT_READ, MAP_SHARED | MAP_FIXED, piece.descriptor, off_t(piece.offset)) == place
      else {
        let error = SystemError.last("mmap")
        munmap(base, count)
        throw error
      }
      place += piece.count
    }
    self.init(adopting: base, count: count)
  }

  private static func total(of pieces: some Collection<MappingPiece>) throws(SystemError) -> Int {
    var total = 0
    for piece in pieces {
      let (sum, overflow) = total.addingReportingOverflow(piece.count)
      guard piece.count > 0, piece.count % SharedMemory.pageSize == 0, !overflow, off_t(exactly: piece.offset) != nil
      else { throw SystemError(call: "mmap", code: EINVAL) }
      total = sum
    }
    return total
  }
}
