import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform
import Testing
import Virtqueue

/// A program in a guest: one channel to the hub.
final class GuestProgram {
  let guest: ChannelGuest
  let context: UInt32
  private let end: ChannelEnd
  /// What the hub has said and nobody has taken.
  private var heard: [(message: Message, serial: UInt64, blob: Transmission.Identifier?)] = []
  private(set) var isOver = false
  private var lastSerial: UInt64 = 0

  /// Opens a channel; `greets`: and says HELLO.
  init(_ guest: ChannelGuest, context: UInt32, greets: Bool = true, ringByteCount: Int = 4096) throws {
    self.guest = guest
    self.context = context
    end = try ChannelEnd(guest, context: context, to: .hub, ringByteCount: ringByteCount)
    if greets { try greet() }
  }

  private func greet() throws {
    #expect(try say(.hello(Hello(role: .application, name: PeerName("program")!))) == .okNoData)
    guard case .welcome = try hear().message else { throw Failure.noWelcome }
  }

  /// INIT once more.
  func begin() throws -> ResponseCode? { try end.begin(.hub) }

  /// Begins anew, now that the channel is over, until a hub says WELCOME that knows the card.
  func beginAnew() throws {
    let deadline = MonotonicTime.now + .seconds(10)
    while isOver {
      #expect(try begin() == .okNoData)
      isOver = false
      do {
        try greet()
      } catch {
        guard isOver, .now < deadline else { throw error }
        try guest.turn()
      }
    }
  }

  enum Failure: Error { case noWelcome, refused(Refusal), unexpected(Message) }

  // MARK: Talking

  func submit(_ command: CrossDomainCommand) throws -> ResponseCode? { try end.submit(command) }

  func submit(_ bytes: [UInt8]) throws -> ResponseCode? { try end.submit(bytes) }

  @discardableResult
  func say(_ message: Message, serial: UInt64 = 0, resource: UInt32? = nil) throws -> ResponseCode? {
    let data = message.encoded(serial: serial, carriesDescriptor: resource != nil)
    let identifiers = resource.map { [Transmission.Identifier(number: $0, kind: .blob)] } ?? []
    return try submit(.send(Transmission(data, identifiers: identifiers)))
  }

  /// Waits for what comes next.
  func hear() throws -> (message: Message, serial: UInt64, blob: Transmission.Identifier?) {
    let transmission = try receive()
    if transmission.data.isEmpty {
      isOver = true
      throw Failure.unexpected(.layersSettled)
    }
    let read = try PacketParser.parseDetached(transmission.data)
    return (read.message, read.serial, transmission.identifiers.first)
  }

  /// Waits for the ring's next entry.
  func receive() throws -> Transmission {
    guard case .receive(let transmission) = try end.next() else { throw Failure.noWelcome }
    return transmission
  }

  /// Asks, and waits for the answer with the same serial; what else is heard is kept.
  func ask(
    _ message: ApplicationMessage, resource: UInt32? = nil
  ) throws -> (message: ApplicationMessage, blob: Transmission.Identifier?) {
    lastSerial += 1
    let serial = lastSerial
    #expect(try say(.application(message), serial: serial, resource: resource) == .okNoData)
    while true {
      let next = try hear()
      if next.serial != serial {
        heard.append(next)
        continue
      }
      switch next.message {
      case .application(let answer): return (answer, next.blob)
      case .error(let refusal): throw Failure.refused(refusal)
      default: throw Failure.unexpected(next.message)
      }
    }
  }

  /// Says that pixels have changed.
  func update(_ id: BufferID, _ damage: Rectangle, _ generation: UInt64) throws {
    try say(.application(.update(BufferUpdate(id: id, damage: damage, generation: generation))))
  }

  static func updated(_ id: BufferID, _ damage: Rectangle, _ generation: UInt64) -> Message {
    .application(.updated(BufferUpdate(id: id, damage: damage, generation: generation)))
  }

  /// What has been told up to now without being asked for.
  func news() throws -> [Message] {
    _ = try ask(.grants(cursor: .max))
    defer { heard.removeAll() }
    return heard.map(\.message)
  }

  /// What is told without being asked for.
  func told() throws -> Message { heard.isEmpty ? try hear().message : heard.removeFirst().message }

  /// The next thing told is that a buffer is not there any more.
  func expectRetired(_ id: BufferID) throws {
    let message = try told()
    guard case .application(.retired(id, _)) = message else { throw Failure.unexpected(message) }
  }

  // MARK: Buffers

  /// Offers a fresh picture; its bytes as the guest sees them.
  func export(
    _ name: String, resource: UInt32, size: Size, at offset: UInt64, isWritable: Bool = false, images: Int = 1
  ) throws -> (id: BufferID, bytes: UnsafeMutableRawBufferPointer) {
    let layout = try #require(PixelLayout(size: size, format: .xrgb8888))
    let chain = try #require(ImageChain(count: images, of: layout))
    #expect(try guest.hostBlob(resource, 0, chain.byteCount, context: context) == .okNoData)
    let bytes = try guest.map(resource, at: offset)
    let id = BufferID.random()
    try offer(name, id, resource: resource, layout, chain, isWritable: isWritable)
    return (id, bytes)
  }

  /// Offers a picture in memory that there is.
  func offer(
    _ name: String, _ id: BufferID, resource: UInt32, _ layout: PixelLayout, _ chain: ImageChain,
    isWritable: Bool = false
  ) throws {
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: layout),
      memory: MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: chain.byteCount),
      name: PeerName(name), isWritable: isWritable, images: chain.count)
    _ = try ask(.offer(offer), resource: resource)
  }

  /// Asks for a screen and maps its picture; what it is, and its bytes as the guest sees them.
  func view(
    _ vm: String, _ scanout: Int = 0, resource: UInt32, at offset: UInt64
  ) throws -> (info: BufferInfo, bytes: UnsafeMutableRawBufferPointer) {
    let answer = try ask(.view(ScreenKey(vm: PeerName(vm)!, scanout: ScanoutIndex(scanout))))
    guard case .acquired(let info) = answer.message else { throw Failure.unexpected(.application(answer.message)) }
    let blob = try #require(answer.blob)
    #expect(try guest.hostBlob(resource, UInt64(blob.number), UInt64(blob.byteCount), context: context) == .okNoData)
    return (info, try guest.map(resource, at: offset))
  }

  /// Says that a generation was read.
  func done(_ id: BufferID, _ generation: UInt64) throws {
    try say(.application(.done(id, generation: generation)))
  }

  /// Acquires a buffer and maps it; what it is, and its bytes as the guest sees them.
  func acquire(
    _ name: String, of owner: String, resource: UInt32, at offset: UInt64, access: BufferAccess = .read,
    wantsUpdates: Bool = false, keeps: Bool = false
  ) throws -> (info: BufferInfo, bytes: UnsafeMutableRawBufferPointer) {
    let key = BufferKey.name(PeerName(name)!, owner: Party(.vm, PeerName(owner)!))
    let answer = try ask(.acquire(Acquisition(key, access: access, wantsUpdates: wantsUpdates, keeps: keeps)))
    guard case .acquired(let info) = answer.message else { throw Failure.unexpected(.application(answer.message)) }
    let blob = try #require(answer.blob)
    #expect(try guest.hostBlob(resource, UInt64(blob.number), UInt64(blob.byteCount), context: context) == .okNoData)
    return (info, try guest.map(resource, at: offset))
  }
}
