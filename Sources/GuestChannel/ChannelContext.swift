import Buffers
import CrossDomain
import GPUDevice
import Platform

/// A CROSS_DOMAIN context: one program's channel to a service of the host.
///
/// The service is asked only when the program waits (POLL) and its ring is free, so that a program that does not read holds
/// nobody up but itself. When the service has gone, the program may begin anew by another INIT.
final class ChannelContext: GuestContext {
  private let access: ContextAccess
  private unowned let kind: ChannelContexts
  private var rings: (query: ResourceID, channel: ResourceID)?
  private var service: (any ChannelService)?
  /// Whether the commands just submitted ask for a fence that waits.
  private var hasPolled = false
  /// Fences that wait for something to be said, in order.
  private var polls: [FenceID] = []

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
    guard let service else { throw .unknownBlob(number) }
    guard let picture = PictureNumber(number) else {
      return try service.memory(ofBlob: number, byteCount: byteCount)
    }
    guard picture.byteCount == byteCount else { throw .unknownBlob(number) }
    return try kind.allocate(Int(clamping: byteCount), access)
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
    case .write(let data):
      guard let service else { throw .contextCommand("WRITE before INIT") }
      try service.write(data)
    case .receive, .read: throw .contextCommand("a message of the host's")
    }
  }

  private func start(_ query: UInt32, _ channel: UInt32, _ type: ChannelType) throws(GPUError) {
    guard service?.isOver ?? true else { throw .contextCommand("INIT twice") }
    service?.close()
    service = nil
    rings = (ResourceID(rawValue: query), ResourceID(rawValue: channel))
    service = try kind.makeService(type, access) { [weak self] in self?.pump() }
  }

  // MARK: Pictures

  private func answer(_ query: ImageQuery) throws(GPUError) {
    guard let rings else { throw .contextCommand("GET_IMAGE_REQUIREMENTS before INIT") }
    let memory = try PictureMemory(query)
    guard let number = PictureNumber(byteCount: memory.byteCount) else {
      throw .invalidSize(Size(width: query.width, height: query.height))
    }
    let requirements = ImageRequirements(
      stride: memory.stride, offset: memory.offset, modifier: 0, byteCount: UInt64(memory.byteCount),
      blob: number.rawValue, mapInfo: MapCaching.cached.rawValue)
    guard write(requirements.encoded, to: rings.query) else { throw .contextCommand("a query ring without room") }
  }

  // MARK: Rings

  /// Says what there is to say, one entry for each fence that waits.
  private func pump() {
    while let fence = polls.first, let rings, let entry = service?.next() {
      guard let bytes = entry.encoded, write(bytes, to: rings.channel) else {
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
