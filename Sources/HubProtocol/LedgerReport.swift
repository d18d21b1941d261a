import Buffers

/// VM_LEDGER: what a VM has of this host, and what it may have.
public struct LedgerReport: Equatable, Sendable {
  /// What it has.
  public var totals: LedgerAmounts
  /// Host memory that is charged and not allocated yet.
  public var promised: Int
  /// What it may have.
  public var limits: LedgerAmounts
  /// Pixels of its guest's own pictures that had to be copied, since it began.
  public var pixelsCopied: UInt64

  /// A report.
  public init(
    totals: LedgerAmounts = .nothing, promised: Int = 0, limits: LedgerAmounts = .unlimited,
    pixelsCopied: UInt64 = 0
  ) {
    self.totals = totals
    self.promised = promised
    self.limits = limits
    self.pixelsCopied = pixelsCopied
  }

  /// What stands in a ledger.
  public init(_ ledger: Ledger) {
    self.init(totals: ledger.totals, promised: ledger.promised, limits: ledger.limits)
  }
}

extension LedgerReport {
  /// Bytes on the wire.
  static let byteCount = 160

  init(_ reader: inout WireReader) throws(ProtocolError) {
    totals = try LedgerAmounts(&reader)
    promised = Int(clamping: try reader.u64())
    limits = try LedgerAmounts(&reader)
    pixelsCopied = try reader.u64()
  }

  func write(to writer: inout WireWriter) {
    totals.write(to: &writer)
    writer.u64(UInt64(clamping: promised))
    limits.write(to: &writer)
    writer.u64(pixelsCopied)
  }
}

extension LedgerAmounts {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    self = .nothing
    for quantity in Ledger.Quantity.allCases { self[quantity] = Int(clamping: try reader.u64()) }
  }

  /// What has no limit is written as the largest number.
  func write(to writer: inout WireWriter) {
    for quantity in Ledger.Quantity.allCases {
      writer.u64(self[quantity] == .max ? .max : UInt64(clamping: self[quantity]))
    }
  }
}
