import Buffers
import CrossDomain
import GPUDevice
import Platform

/// A CROSS_DOMAIN context: one program's channel to a service of the host.
///
/// The service is asked only when the program waits (POLL) and its ring is free, so that a program that does not read holds
/// nobody up but itself.
final class ChannelContext: GuestContext {
  private let access: ContextAccess
  private unowned let kind: ChannelContexts
  private var rings: (query: ResourceID, channel: ResourceID)?
  private var service: (any ChannelService)?
  /// Whether the commands just submitted ask for a fence that waits.
  private var hasPolled = false
  /// Fences that wait for something to be said, in order.
  private var polls: [FenceID] = []
  private var images: [UInt64: Int] = [:]
  private var lastImage: UInt32 = 0

  /// Numbers of pictures to be made; those of a service are below.
  private static let firstImage: UInt32 = 0x8000_0000
  /// Pictures that were asked for and not made.
  private static let maximumImages = 64

  init(_ access: ContextAccess, kind: ChannelContexts) {
    self.access = access
    self.kind = kind
  }

  // MARK: GuestContext

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    hasPolled = false
    var rest = commands
    while !rest.isEmpty {
      let (command, byteCount) = try decode(rest)
      try perform(command)
      rest = UnsafeRawBufferPointer(rebasing: rest[byteCount...])
    }
  }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState {
    guard hasPolled, ring == CrossDomain.channelRing, service != nil else { return .done }
    hasPolled = false
    polls.append(fence)
    // The fence is known to its card only when this has returned.
    kind.loop.afterEvents { [weak self] in self?.pump() }
    return .pending
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    guard number >= UInt64(Self.firstImage) else {
      guard let service else { throw .unknownBlob(number) }
      return try service.memory(ofBlob: number, byteCount: byteCount)
    }
    guard let count = images[number], UInt64(count) == byteCount else { throw .unknownBlob(number) }
    let memory = try kind.allocate(count, access)
    images[number] = nil
    return memory
  }

  func destroyed() {
    service?.close()
    service = nil
    polls.removeAll()
    kind.ended(self)
  }

  // MARK: Commands

  private func decode(_ bytes: UnsafeRawBufferPointer) throws(GPUError) -> (CrossDomainCommand, Int) {
    do throws(CrossDomainError) {
      let read = try CrossDomainCommand.decode(bytes)
      return (read.command, read.byteCount)
    } catch {
      throw .contextCommand("\(error)")
    }
  }

  private func perform(_ command: CrossDomainCommand) throws(GPUError) {
    switch command {
    case .initialize(let query, let channel, let type): try start(query, channel, type)
    case .getImageRequirements(let query): try answer(query)
    case .poll: hasPolled = true
    case .send(let transmission):
      guard let service else { throw .contextCommand("SEND before INIT") }
      try service.send(transmission)
    case .write: throw .contextCommand("a pipe that there is not")
    case .receive, .read: throw .contextCommand("a message of the host's")
    }
  }

  private func start(_ query: UInt32, _ channel: UInt32, _ type: ChannelType) throws(GPUError) {
    guard service == nil else { throw .contextCommand("INIT twice") }
    rings = (ResourceID(rawValue: query), ResourceID(rawValue: channel))
    service = try kind.makeService(type, access) { [weak self] in self?.pump() }
  }

  // MARK: Pictures

  private func answer(_ query: ImageQuery) throws(GPUError) {
    guard let rings else { throw .contextCommand("GET_IMAGE_REQUIREMENTS before INIT") }
    guard images.count < Self.maximumImages else { throw .contextCommand("pictures that are not made") }
    let (layout, byteCount) = try layout(query)
    lastImage = (lastImage &+ 1) & (Self.firstImage - 1)
    let number = Self.firstImage | lastImage
    let requirements = ImageRequirements(
      stride: layout.stride, offset: UInt32(clamping: layout.offset), modifier: 0, byteCount: UInt64(byteCount),
      blob: number, mapInfo: MapCaching.cached.rawValue)
    guard write(requirements.encoded, to: rings.query) else { throw .contextCommand("a query ring without room") }
    images[UInt64(number)] = byteCount
  }

  private func layout(_ query: ImageQuery) throws(GPUError) -> (PixelLayout, Int) {
    let size = Size(width: query.width, height: query.height)
    let limits: ClosedRange<UInt32> = 1...16_384
    guard limits.contains(size.width), limits.contains(size.height) else { throw .invalidSize(size) }
    guard let layout = try? Constraints.unstated.layout(size: size, format: PixelFormat(rawValue: query.format)) else {
      throw .unknownFormat(query.format)
    }
    guard let byteCount = HostMemory.wholePages(layout.byteCount) else { throw .invalidSize(size) }
    return (layout, byteCount)
  }

  // MARK: Rings

  /// Says what there is to say, one entry for each fence that waits.
  private func pump() {
    while let fence = polls.first, let rings, let entry = service?.next() {
      guard let bytes = CrossDomainCommand.receive(entry).encoded, write(bytes, to: rings.channel) else {
        return breakDown()
      }
      polls.removeFirst()
      access.finishFences(ring: CrossDomain.channelRing, through: fence)
    }
  }

  /// The program's ring does not take what it asked for: the channel ends.
  private func breakDown() {
    service?.close()
    service = nil
    for fence in polls { access.finishFences(ring: CrossDomain.channelRing, through: fence) }
    polls.removeAll()
  }

  private func write(_ bytes: [UInt8], to ring: ResourceID) -> Bool {
    guard let pages = access.pages(of: ring) else { return false }
    return bytes.withUnsafeBytes { pages.write($0, at: 0) }
  }
}
