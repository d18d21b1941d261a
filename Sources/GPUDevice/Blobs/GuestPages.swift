import Buffers
import Virtqueue

/// The guest's pages behind a blob.
public final class GuestPages {
  /// Length of the whole in bytes.
  public let byteCount: Int
  private let entries: [MemoryEntry]
  private var list: ScatterList
  private var memory: GuestMemory
  /// What the list of entries is charged.
  private var charge: Ledger.Charge?
  private var loans = PageLoans()

  /// Finds all entries in guest memory.
  init(_ entries: [MemoryEntry], in memory: GuestMemory) throws(GPUError) {
    self.entries = entries
    self.memory = memory
    list = try ScatterList(entries, in: memory)
    byteCount = list.byteCount
  }

  /// Keeps a charge for as long as the list is here.
  func keep(_ charge: consuming Ledger.Charge) { self.charge = consume charge }

  /// The guest has other memory: what is found there from now on.
  func move(to memory: GuestMemory) {
    // Generations of two memories have nothing to do with each other.
    if memory !== self.memory { list.invalidate() }
    self.memory = memory
    list.refresh(in: memory)
  }

  /// What the list of entries takes of the host's memory.
  var footprint: Int {
    ScatterList.footprint(entryCount: entries.count) + entries.count * MemoryLayout<MemoryEntry>.stride
  }
  /// Number of runs in this process.
  var runCount: Int { list.runCount }

  /// The pages as they are in this process, in order; nil where one is not there.
  var segments: [UnsafeMutableRawBufferPointer]? {
    list.refresh(in: memory)
    return list.segments
  }

  /// Whether every byte is there.
  public var isWhole: Bool {
    list.refresh(in: memory)
    return !list.hasHoles
  }

  /// Copies rows out, to `target` and every `stride` bytes after it; false when one of them is not there.
  func copy(_ rows: ScatterList.Rows, to target: UnsafeMutableRawPointer, stride: Int) -> Bool {
    list.refresh(in: memory)
    guard list.reach(of: rows) == .complete else { return false }
    list.copy(rows, to: target, stride: stride)
    return true
  }

  /// Stores bytes from `offset` on; false when one of them has no place there.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    guard let source = bytes.baseAddress else { return true }
    let row = ScatterList.Rows(offset: offset, byteCount: bytes.count, count: 1, stride: bytes.count)
    list.refresh(in: memory)
    guard list.reach(of: row) == .complete else { return false }
    list.store(row, from: source)
    return true
  }

  /// The pages that hold the first so many bytes, as pieces of the files that hold guest memory, in order; nil where one
  /// is not in a file, or not there.
  public func filePieces(covering byteCount: UInt64) -> [MemoryFilePiece]? {
    var pieces: [MemoryFilePiece] = []
    var rest = byteCount
    for entry in entries where entry.length > 0 && rest > 0 {
      let count = min(UInt64(entry.length), rest.addingReportingOverflow(4095).partialValue & ~4095)
      guard memory.appendFilePieces(at: entry.address, count: count, to: &pieces) else { return nil }
      rest -= min(rest, count)
    }
    return pieces
  }

  // MARK: Others who use them

  /// Lends the pages that hold the first so many bytes; nil where they are in no file. `recalled` is called when they are
  /// wanted back.
  public func lend(covering byteCount: UInt64, recalled: @escaping () -> Void) -> PageLoan? {
    guard isWhole, let pieces = filePieces(covering: byteCount) else { return nil }
    let loan = PageLoan(self, pieces, recalled: recalled)
    loans.add(loan)
    return loan
  }

  func ended(_ loan: ObjectIdentifier) {
    for returned in loans.remove(loan) { returned() }
  }

  /// Wants them back.
  ///
  /// - Returns: whether somebody uses them still; then `returned` is called when nobody does.
  func recall(_ returned: @escaping () -> Void) -> Bool {
    tellBorrowers { _ in true }
    guard !loans.isEmpty else { return false }
    loans.wait(returned)
    return true
  }

  /// The guest's memory has changed: what is not where it was is wanted back.
  func recallMoved(to memory: GuestMemory) {
    guard !loans.isEmpty else { return }
    move(to: memory)
    tellBorrowers { !$0.isInPlace }
  }

  private func tellBorrowers(_ isTold: (PageLoan) -> Bool) {
    for loan in loans.all where isTold(loan) { loan.recalled() }
  }
}
