import CrossDomain
import Platform

/// The channel to the host's hub: one context of the card, with two rings in pages of this VM.
final class Channel {
  /// Room for the longest message of section 8 of the protocol.
  private static let ringByteCount: UInt64 = 4096

  let card: GraphicsCard
  private let query: Blob, ring: Blob
  /// Whether the card was asked to say when there is something, and has not said so yet.
  private var isWaiting = false

  /// Opens the channel; its end, should there be no hub, is learned by receiving.
  init(_ card: GraphicsCard) throws(GuestError) {
    self.card = card
    try card.startContext()
    query = try .ofGuest(card, byteCount: Self.ringByteCount)
    ring = try .ofGuest(card, byteCount: Self.ringByteCount)
    try start()
  }

  /// Begins, or begins anew when ``receive(until:or:)`` has said that the channel was over.
  func start() throws(GuestError) {
    try submit(.initialize(queryRing: query.resource, channelRing: ring.resource, .hub))
  }

  /// Sends bytes, and a blob with them; once a fence (a sync_file) has signalled, for which this call waits.
  func send(_ data: [UInt8], blob: Blob? = nil, inFence: SharedDescriptor? = nil) throws(GuestError) {
    let identifiers = blob.map { [Transmission.Identifier(number: $0.resource, kind: .blob)] } ?? []
    try submit(.send(Transmission(data, identifiers: identifiers)), inFence: inFence)
  }

  /// A fence (a sync_file) that signals when ``receive(until:)`` has something, for drivers and programs that wait for
  /// fences; nil when that is being waited for already.
  func receiveFence() throws(GuestError) -> SharedDescriptor? {
    guard !isWaiting else { return nil }
    clearRing()
    let fence = try card.submitForFence(try bytes(of: .poll), ring: CrossDomain.channelRing)
    isWaiting = true
    return fence
  }

  /// Waits for what the host says next; nil when the time is over, or another file has something to read. Without data:
  /// the channel's end.
  func receive(until end: MonotonicTime, or other: Int32? = nil) throws(GuestError) -> Transmission? {
    if !isWaiting {
      clearRing()
      try submit(.poll, ring: CrossDomain.channelRing)
      isWaiting = true
    }
    guard try card.waitForFence(until: end, or: other) else { return nil }
    isWaiting = false
    return try entry()
  }

  private func entry() throws(GuestError) -> Transmission {
    let copy = [UInt8](ring.bytes)
    // Without a service at its end the card completes the fence and says nothing.
    guard copy[0] != 0 else { return Transmission([]) }
    do throws(CrossDomainError) {
      let read = try CrossDomainCommand.decode(bytes: copy)
      guard case .receive(let transmission) = read else { throw CrossDomainError.unknownCommand(copy[0]) }
      return transmission
    } catch {
      throw .nonsense("\(error)")
    }
  }

  private func clearRing() {
    UnsafeMutableRawBufferPointer(rebasing: ring.bytes[..<64]).initializeMemory(as: UInt8.self, repeating: 0)
  }

  private func submit(
    _ command: CrossDomainCommand, ring: UInt8? = nil, inFence: SharedDescriptor? = nil
  ) throws(GuestError) {
    try card.submit(try bytes(of: command), ring: ring, inFence: inFence)
  }

  private func bytes(of command: CrossDomainCommand) throws(GuestError) -> [UInt8] {
    guard let bytes = command.encoded else { throw .nonsense("a message that is too long") }
    return bytes
  }
}

extension CrossDomainCommand {
  /// The command at the beginning of an array.
  fileprivate static func decode(bytes: [UInt8]) throws(CrossDomainError) -> CrossDomainCommand {
    var result: Result<CrossDomainCommand, CrossDomainError> = .failure(.unknownCommand(0))
    bytes.withUnsafeBytes { bytes in
      result = Result { () throws(CrossDomainError) in try decode(bytes).command }
    }
    return try result.get()
  }
}
