import Virtqueue

/// A guest's pages that others use for a while. Its end is the end of this object.
///
/// A guest that takes pages back (UNREF, DETACH_BACKING) has its answer when nobody uses them any more: until then Linux
/// gives them to nothing else.
public final class PageLoan {
  /// The pages by their place in the VM's memory, as they were lent.
  public let pieces: [MemoryFilePiece]
  private let pages: GuestPages
  /// Called when the guest takes them back, or its VMM has moved them.
  let recalled: () -> Void

  init(_ pages: GuestPages, _ pieces: [MemoryFilePiece], recalled: @escaping () -> Void) {
    self.pages = pages
    self.pieces = pieces
    self.recalled = recalled
  }

  deinit { pages.ended(ObjectIdentifier(self)) }

  /// How many bytes they are.
  public var byteCount: UInt64 { pieces.reduce(0) { $0 + $1.count } }

  /// The files that they are in, each once.
  var files: [MemoryRegionFile] {
    var files: [MemoryRegionFile.Identity: MemoryRegionFile] = [:]
    for piece in pieces { files[piece.file.identity] = piece.file }
    return Array(files.values)
  }

  /// What the list of pieces takes of the host's memory.
  public var footprint: Int { pieces.count * MemoryLayout<MemoryFilePiece>.stride }

  /// Whether the pages are where they were.
  public var isInPlace: Bool {
    pages.isWhole && pages.filePieces(covering: byteCount) == pieces
  }
}

/// Who uses a guest's pages, and who waits for them.
struct PageLoans {
  private struct Reference {
    weak var loan: PageLoan?
  }

  private var references: [ObjectIdentifier: Reference] = [:]
  private var waiting: [() -> Void] = []

  var isEmpty: Bool { references.isEmpty }
  var all: [PageLoan] { references.values.compactMap(\.loan) }

  mutating func add(_ loan: PageLoan) { references[ObjectIdentifier(loan)] = Reference(loan: loan) }

  mutating func wait(_ returned: @escaping () -> Void) { waiting.append(returned) }

  /// - Returns: who is to be called now.
  mutating func remove(_ loan: ObjectIdentifier) -> [() -> Void] {
    references[loan] = nil
    guard references.isEmpty else { return [] }
    defer { waiting.removeAll() }
    return waiting
  }
}
