import Platform

/// What kinds of memory a buffer may be made of; one of them says what a buffer is made of.
public struct MemoryKind: OptionSet, Hashable, Sendable, CustomStringConvertible {
  /// The bits, as they are sent.
  public let rawValue: UInt32

  /// Kinds by their bits, known or not.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// One sealed memory file.
  public static let file = MemoryKind(rawValue: 1)
  /// One dma-buf.
  public static let dmaBuf = MemoryKind(rawValue: 2)
  /// Ranges of a VM's memory files.
  public static let ranges = MemoryKind(rawValue: 4)
  /// What this program can map on this system.
  public static let mappable: MemoryKind = DMABuf.isAvailable ? .all : [.file, .ranges]
  /// Every kind there is.
  public static let all: MemoryKind = [.file, .dmaBuf, .ranges]

  /// Whether it is one kind that is known: what a buffer can be.
  public var isOne: Bool { self == .file || self == .dmaBuf || self == .ranges }

  /// The words for people, with commas; "none" for no kind.
  public var description: String {
    let words = [(MemoryKind.file, "file"), (.dmaBuf, "dma-buf"), (.ranges, "ranges")]
      .compactMap { contains($0.0) ? $0.1 : nil }
    return words.isEmpty ? "none" : words.joined(separator: ", ")
  }
}

/// Who gave a buffer its memory, and therefore pays for it.
public enum AllocationSide: UInt32, Sendable, CaseIterable, CustomStringConvertible {
  /// The guest, in its own RAM.
  case guest = 1
  /// The host; the ledger charges the VM.
  case host = 2

  /// Reads "guest" or "host".
  public init?(_ text: String) {
    guard let known = Self.allCases.first(where: { $0.description == text }) else { return nil }
    self = known
  }

  /// The word for people.
  public var description: String {
    switch self {
    case .guest: "guest"
    case .host: "host"
    }
  }
}
