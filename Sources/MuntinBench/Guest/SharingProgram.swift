import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

/// A program in a VM that takes part by its channel.
final class SharingProgram {
  private let guest: SharingGuest
  private let ring: GuestAddress
  private var poll: UInt16?
  private var serial: UInt64 = 0

  init(_ guest: SharingGuest) throws(BenchError) {
    self.guest = guest
    ring = try guest.startChannel()
    guard let name = PeerName("bench") else { throw .noRoom("a name") }
    try say(.hello(Hello(role: .application, name: name)))
    _ = try hear { if case .welcome = $0 { true } else { nil } }
  }

  private static func transmission(_ message: Message, _ serial: UInt64, _ resource: ResourceID?) -> CrossDomainCommand
  {
    .send(
      Transmission(
        message.encoded(serial: serial, carriesDescriptor: resource != nil),
        identifiers: resource.map { [Transmission.Identifier(number: $0.rawValue, kind: .blob)] } ?? []))
  }

  /// Says something and waits until the card has taken it.
  func say(_ message: Message, serial: UInt64 = 0, _ resource: ResourceID? = nil) throws(BenchError) {
    try guest.submit(Self.transmission(message, serial, resource))
  }

  /// Says something while somebody else waits for it.
  func begin(_ message: ApplicationMessage) throws(BenchError) -> UInt16 {
    try guest.begin(Self.transmission(.application(message), 0, nil))
  }

  func finish(_ token: UInt16) throws(BenchError) { try guest.finish(token) }

  /// Asks to be woken, if that was not done yet.
  func listen() throws(BenchError) { if poll == nil { poll = try guest.postPoll() } }

  /// Waits until it is woken.
  func wake() throws(BenchError) {
    try listen()
    if let poll { try guest.finish(poll) }
    poll = nil
  }

  /// What it was woken for.
  func heard() throws(BenchError) -> (message: Message, blob: Transmission.Identifier?) {
    let copy = guest.entry(at: ring)
    do {
      let command = try copy.withUnsafeBytes { try CrossDomainCommand.decode($0).command }
      guard case .receive(let said) = command, !said.data.isEmpty else { throw BenchError.timedOut("a message") }
      return (try PacketParser.parseDetached(said.data).message, said.identifiers.first)
    } catch {
      throw .program("channel", "\(error)")
    }
  }

  /// Waits for a message that fits.
  @discardableResult
  func hear<Found>(_ fits: (Message) -> Found?) throws(BenchError) -> (Found, Transmission.Identifier?) {
    while true {
      try wake()
      let (message, blob) = try heard()
      if let found = fits(message) { return (found, blob) }
      if case .error(let refusal) = message { throw .program("hub", "\(refusal)") }
    }
  }

  private func ask<Found>(
    _ message: ApplicationMessage, _ resource: ResourceID? = nil, _ fits: (Message) -> Found?
  ) throws(BenchError) -> (Found, Transmission.Identifier?) {
    serial += 1
    try say(.application(message), serial: serial, resource)
    return try hear(fits)
  }

  // MARK: Buffers

  /// Offers a new picture.
  func export(_ name: String, _ layout: PixelLayout) throws(BenchError) -> BufferID {
    let (resource, _) = try guest.hostBlob(number: 0, byteCount: UInt64(layout.byteCount + 4095) / 4096 * 4096)
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout),
      memory: MemoryDescription(hostFileOf: layout, reason: .hostAllocated), name: PeerName(name), isWritable: true)
    _ = try ask(.offer(offer), resource) { if case .application(.accepted) = $0 { true } else { nil } }
    return offer.buffer.id
  }

  /// Acquires a buffer and maps it.
  func acquire(_ id: BufferID, _ access: BufferAccess) throws(BenchError) {
    let request = Acquisition(.id(id), access: access, wantsUpdates: true)
    let (_, blob) = try ask(.acquire(request)) { if case .application(.acquired) = $0 { true } else { nil } }
    guard let blob else { throw .noRoom("memory of \(id)") }
    _ = try guest.hostBlob(number: UInt64(blob.number), byteCount: UInt64(blob.byteCount))
  }
}
