import ArgumentParser
import Buffers
import Glibc
import HubProtocol
import Sandbox
import Supervisor

/// A command that cannot do what it was asked to: what was wrong, where, and what to do, on one line.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Reads the values of options. Errors say what is expected.
enum ArgumentValue {
  /// The size of a scanout or a display.
  static func size(_ text: String) throws -> Size {
    guard let size = Configuration.size(text) else {
      let extents = Configuration.extents
      throw ValidationError(
        "give WIDTHxHEIGHT with \(extents.lowerBound) to \(extents.upperBound) each, such as 1280x800")
    }
    return size
  }

  /// An amount of memory.
  static func memorySize(_ text: String) throws -> MemorySize {
    guard let size = MemorySize(text) else { throw ValidationError("give \(MemorySize.expectation)") }
    return size
  }

  /// The size of a host-visible region, which may be 0.
  static func window(_ text: String) throws -> Int {
    guard let size = Configuration.windowSize(text) else {
      throw ValidationError("give \(Configuration.windowExpectation)")
    }
    return size
  }

  /// What a guest's channels lead to.
  static func channel(_ text: String) throws -> Configuration.Channel {
    guard let channel = Configuration.Channel(rawValue: text) else { throw ValidationError("give hub") }
    return channel
  }

  /// Whether a process shuts itself in.
  static func sandbox(_ text: String) throws -> SandboxMode {
    guard let mode = SandboxMode(rawValue: text) else { throw ValidationError("give on, log or off") }
    return mode
  }

  /// Who gives a picture its memory.
  static func allocation(_ text: String) throws -> AllocationSide {
    guard let side = AllocationSide(text) else { throw ValidationError("give guest or host") }
    return side
  }

  /// A dma-buf heap, or a driver's node.
  static func heap(_ text: String) throws -> String {
    guard HostSource.isName(text) else { throw ValidationError("give \(Configuration.heapExpectation)") }
    return text
  }

  /// What blobs are multiples of.
  static func blobAlignment(_ text: String) throws -> BlobAlignment {
    guard let alignment = BlobAlignment(text) else { throw ValidationError("give 4K, 16K or 64K") }
    return alignment
  }

  /// A limit of a ledger's line.
  struct Limit: Equatable, Sendable {
    let quantity: Ledger.Quantity
    let amount: Int
  }

  /// Reads "buffers=1000" or "imported=1G".
  static func limit(_ text: String) throws -> Limit {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let quantity = Ledger.Quantity.allCases.first { $0.key == parts[0] }
    let amount = parts.count == 2 ? Int(parts[1]) ?? MemorySize(String(parts[1]))?.bytes : nil
    guard let quantity, let amount, amount >= 0 else {
      let keys = Ledger.Quantity.allCases.map(\.key).joined(separator: ", ")
      throw ValidationError("give WHAT=AMOUNT, such as buffers=1000; WHAT is one of \(keys)")
    }
    return Limit(quantity: quantity, amount: amount)
  }

  /// A party.
  static func party(_ text: String) throws -> Party {
    guard let party = Party(text) else { throw ValidationError("give \(Party.expectation)") }
    return party
  }

  /// The name of a VM or a display.
  static func name(_ text: String) throws -> PeerName {
    guard let name = PeerName(text) else {
      throw ValidationError("a name has 1 to \(PeerName.maximumByteCount) bytes and no control characters")
    }
    return name
  }

  /// A descriptor that this process was started with.
  static func descriptor(_ text: String) throws -> Int32 {
    guard let number = Int32(text), number >= 0, fcntl(number, F_GETFD) >= 0 else {
      throw ValidationError("give the number of an open socket; descriptor \(text) is not open")
    }
    return number
  }

  static func hangSeconds(_ text: String) throws -> Int {
    let range = Configuration.hangSeconds
    guard let seconds = Int(text), range.contains(seconds) else {
      throw ValidationError("give \(range.lowerBound) to \(range.upperBound) seconds")
    }
    return seconds
  }
}

/// Where the hub is.
struct HubOptions: ParsableArguments {
  @Option(
    name: .customLong("hub"),
    help: ArgumentHelp("The hub's socket.", discussion: "Default: see `muntin --help`.", valueName: "path"))
  var given: String?

  /// The hub's socket.
  var path: String { given ?? HubSocket.defaultPath }
}
