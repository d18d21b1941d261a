import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// What channels a VM's programs may open.
public struct ChannelOptions {
  /// Connects to what is at a channel's other end.
  public typealias Connector = () throws(SystemError) -> FileDescriptor

  /// Connects to the hub; nil: no channels to it.
  public var connectToHub: Connector?
  /// Connects to a Wayland compositor, without waiting; nil: no channels to one.
  public var connectToWayland: Connector?
  /// The VM's name, towards the hub.
  public var vm: PeerName
  /// The most channels at a time.
  public var maximumCount = 32
  /// The most buffers that all its programs together offer.
  public var maximumExports = 256
  /// The most buffers of others that all its programs together hold.
  public var maximumImports = 256
  /// Whether the guest's programs may let others see the VM's screens.
  public var sharesDisplays = false

  /// No channels yet, in the name of a VM.
  public init(vm: PeerName) { self.vm = vm }

  /// Channels to the hub that `connect` reaches, in the name of a VM.
  public init(vm: PeerName, connect: @escaping Connector) {
    self.init(vm: vm)
    connectToHub = connect
  }

  /// Channels to a hub by its socket, in the name of a VM.
  public init(hubPath: String, vm: PeerName) {
    self.init(vm: vm) { () throws(SystemError) in try UnixSocket.connect(path: hubPath, kind: .sequencedPacket) }
  }

  /// Adds channels to the Wayland compositor that listens at a socket.
  public mutating func addWayland(path: String) {
    addWayland { () throws(SystemError) in try UnixSocket.connect(path: path, kind: .stream) }
  }

  /// Adds channels to the Wayland compositor that `connect` reaches.
  public mutating func addWayland(connect: @escaping Connector) {
    connectToWayland = { () throws(SystemError) in
      let socket = try connect()
      try UnixSocket.setNonBlocking(socket.raw, true)
      return socket
    }
  }

  /// The types of channel there are.
  var types: [ChannelType] {
    (connectToHub == nil ? [] : [.hub]) + (connectToWayland == nil ? [] : [.wayland])
  }
}

/// The CROSS_DOMAIN capability set of a card: makes the contexts that are channels.
public final class ChannelContexts: ContextKind {
  /// CROSS_DOMAIN.
  public let capset = CrossDomain.capset
  /// Version 0, as others have it.
  public let capsetVersion: UInt32 = 0
  /// Which types of channel there are.
  public let capsetBytes: [UInt8]
  /// What a command's own word of length can say.
  public let maximumCommandByteCount = CrossDomain.maximumCommandByteCount

  let loop: EventLoop
  private let options: ChannelOptions
  private let note: (String) -> Void
  private let room: SharingRoom
  private var contexts: [ObjectIdentifier: ChannelContext] = [:]
  /// Channels whose programs have gone, but not yet what they shared.
  private var lingering: [ObjectIdentifier: HubChannel] = [:]

  /// Channels that are served on the loop; `note` is told in words what is worth a line in a log.
  public init(_ options: ChannelOptions, loop: EventLoop, note: @escaping (String) -> Void = { _ in }) {
    self.options = options
    room = SharingRoom(maximumExports: options.maximumExports, maximumImports: options.maximumImports)
    self.loop = loop
    self.note = note
    capsetBytes = CrossDomainCapabilities(channels: options.types).encoded
  }

  /// How many channels there are.
  public var count: Int { contexts.count }
  /// How many channels still wait for others to let go of what was shared through them.
  public var lingeringCount: Int { lingering.count }

  /// A program opens a channel.
  public func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext {
    guard contexts.count < options.maximumCount else {
      throw .contextCommand("more than \(options.maximumCount) channels")
    }
    let context = ChannelContext(access, kind: self)
    contexts[ObjectIdentifier(context)] = context
    return context
  }

  func ended(_ context: ChannelContext) { contexts[ObjectIdentifier(context)] = nil }

  func makeService(
    _ type: ChannelType, _ access: ContextAccess, ready: @escaping () -> Void
  ) throws(GPUError) -> any ChannelService {
    switch type {
    case .hub: try makeHubChannel(access, ready)
    case .wayland: try makeWaylandChannel(access, ready)
    default: throw .contextCommand("no channels of type \(type.rawValue)")
    }
  }

  private func makeWaylandChannel(
    _ access: ContextAccess, _ ready: @escaping () -> Void
  ) throws(GPUError) -> any ChannelService {
    guard let connect = options.connectToWayland else { throw .contextCommand("no channels to a Wayland compositor") }
    let channel = WaylandChannel(
      access: access, loop: loop,
      allocate: { [unowned self] count throws(GPUError) in try allocate(count, access) },
      note: note, ready: ready)
    channel.start(loop, connect)
    return channel
  }

  private func makeHubChannel(
    _ access: ContextAccess, _ ready: @escaping () -> Void
  ) throws(GPUError) -> any ChannelService {
    guard let connect = options.connectToHub else { throw .contextCommand("no channels to the hub") }
    guard lingering.count < options.maximumCount else { throw .contextCommand("earlier channels have not ended yet") }
    let channel = HubChannel(
      vm: options.vm, sharesDisplays: options.sharesDisplays, access: access, room: room,
      allocate: { [unowned self] count throws(GPUError) in try allocate(count, access) },
      note: note, ready: ready)
    channel.lingers = { [weak self, weak channel] isLingering in
      guard let self, let channel else { return }
      lingering[ObjectIdentifier(channel)] = isLingering ? channel : nil
    }
    channel.start(loop, connect)
    return channel
  }

  /// Memory for a program, charged to the VM for as long as it is here.
  func allocate(_ byteCount: Int, _ access: ContextAccess) throws(GPUError) -> HostMemory {
    guard let ledger = access.ledger else { throw .contextCommand("the card is gone") }
    let charge: Ledger.Charge
    do throws(Ledger.OverLimit) {
      charge = try ledger.charge(Ledger.Demand(byteCount, as: .hostAllocated, isBuffer: true, descriptors: 1))
    } catch {
      throw .overLimit(error)
    }
    do throws(SystemError) {
      let memory = try HostMemory(byteCount: byteCount, name: "muntin-\(options.vm)")
      memory.keep(charge)
      return memory
    } catch {
      throw .hostMemory(code: error.code)
    }
  }
}
