import Platform

/// How a picture's pixels get from who draws them to who shows them.
public enum HandOverWay: Sendable, CaseIterable, CustomStringConvertible {
  /// Somebody copies them into host memory.
  case copy
  /// They are drawn into host memory.
  case hostMemory
  /// They are where they were drawn, and that is one dma-buf.
  case dmaBuf
  /// They are where they were drawn, in ranges of the VM's memory.
  case ranges

  /// The word for people.
  public var description: String {
    switch self {
    case .copy: "copy"
    case .hostMemory: "host memory"
    case .dmaBuf: "dma-buf"
    case .ranges: "ranges"
    }
  }
}

/// Why a picture is handed over the way it is: what it is, or what kept it from a better way.
public enum HandOverReason: UInt32, Error, Sendable, CaseIterable, CustomStringConvertible {
  /// A 2D resource: the guest asks for the copies (TRANSFER_TO_HOST_2D).
  case transferred = 1
  /// Memory that the host allocated is drawn into.
  case hostAllocated = 2
  /// udmabuf made the guest's pages one dma-buf.
  case udmabuf = 3
  /// A driver made the dma-buf.
  case exported = 4

  /// The machine has no /dev/udmabuf, or this process may not open it.
  case noUDMABuf = 16
  /// More ranges than udmabuf takes.
  case udmabufListLimit = 17
  /// More bytes than udmabuf takes.
  case udmabufSizeLimit = 18
  /// udmabuf refused for another reason.
  case udmabufRefused = 19
  /// The VM's memory file can shrink, or is none that can be sealed: udmabuf takes no such file.
  case memoryNotSealed = 20
  /// A consumer takes no dma-buf.
  case dmaBufNotTaken = 21

  /// A consumer may not see the VM's memory.
  case memoryWithheld = 32
  /// A consumer takes no ranges.
  case rangesNotTaken = 33
  /// More ranges than anybody takes.
  case tooManyRanges = 34
  /// The pieces are not whole pages.
  case unaligned = 35
  /// Pieces share pages.
  case overlapping = 36
  /// The VM's memory has no file that could be handed on.
  case noMemoryFile = 37
  /// The layout is not what a consumer can use.
  case layoutNotTaken = 38
  /// The system had no descriptor or memory left.
  case systemLimit = 39
  /// The VM's memory is in huge pages, whose parts cannot be mapped.
  case hugePages = 40

  /// Why pages did not become a dma-buf.
  public init(_ failure: UDMABufFailure) {
    self =
      switch failure {
      case .notAvailable: .noUDMABuf
      case .unaligned: .unaligned
      case .tooManyPieces: .udmabufListLimit
      case .tooLarge: .udmabufSizeLimit
      case .notSealed: .memoryNotSealed
      case .refused: .udmabufRefused
      }
  }

  /// The way that a buffer of `kind` with this reason goes.
  public func way(of kind: MemoryKind) -> HandOverWay {
    switch kind {
    case .dmaBuf where self == .transferred || isCopy: .copy
    case .dmaBuf where self == .hostAllocated: .hostMemory
    case .dmaBuf: .dmaBuf
    case .ranges: .ranges
    default: self == .hostAllocated ? .hostMemory : .copy
    }
  }

  /// Whether it says why the guest's own pixels are copied.
  private var isCopy: Bool { rawValue >= Self.memoryWithheld.rawValue }

  /// The words for people.
  public var description: String {
    switch self {
    case .transferred: "2D resource"
    case .hostAllocated: "allocated by the host"
    case .udmabuf: "udmabuf"
    case .exported: "exported by a driver"
    case .noUDMABuf: "no /dev/udmabuf"
    case .udmabufListLimit: "more ranges than udmabuf takes (list_limit)"
    case .udmabufSizeLimit: "larger than udmabuf takes (size_limit_mb)"
    case .udmabufRefused: "udmabuf refused"
    case .memoryNotSealed: "the VM's memory file is not sealed against shrinking"
    case .dmaBufNotTaken: "a consumer takes no dma-buf"
    case .memoryWithheld: "a consumer may not see the VM's memory"
    case .rangesNotTaken: "a consumer takes no ranges"
    case .tooManyRanges: "too many ranges"
    case .unaligned: "not whole pages"
    case .overlapping: "pieces overlap"
    case .noMemoryFile: "the VM's memory has no file"
    case .layoutNotTaken: "a consumer cannot use the layout"
    case .systemLimit: "out of descriptors or memory"
    case .hugePages: "the VM's memory is in huge pages"
    }
  }
}
