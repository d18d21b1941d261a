import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// What channels a VM's programs may open.
public struct ChannelOptions {
  /// Connects to the hub.
  public var connect: () throws(SystemError) -> FileDescriptor
  /// The VM's name, towards the hub.
  public var vm: PeerName
  /// The most channels at a time.
  public var maximumCount = 32
  /// Whether the guest's programs may let others see the VM's screens.
  public var sharesDisplays = false

  /// Channels to the hub that `connect` reaches, in the name of a VM.
  public init(vm: PeerName, connect: @escaping () throws(SystemError) -> FileDescriptor) {
    self.vm = vm
    self.connect = connect
  }

  /// Channels to a hub by its socket, in the name of a VM.
  public init(hubPath: String, vm: PeerName) {
    self.init(vm: vm) { () throws(SystemError) in try UnixSocket.connect(path: hubPath, kind: .sequencedPacket) }
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
  private var contexts: [ObjectIdentifier: ChannelContext] = [:]
  /// Channels whose programs have gone, but not yet what they shared.
  private var lingering: [ObjectIdentifier: HubChannel] = [:]

  /// Channels that are served on the loop; `note` is told in words what is worth a line in a log.
  public init(_ options: ChannelOptions, loop: EventLoop, note: @escaping (String) -> Void = { _ in }) {
    self.options = options
    self.loop = loop
    self.note = note
    capsetBytes = CrossDomainCapabilities(channels: [.hub]).encoded
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
    guard type == .hub else {
      throw .contextCommand("no channels of type \(type.rawValue)")
    }
    guard lingering.count < options.maximumCount else { throw .contextCommand("earlier channels have not ended yet") }
    let channel = HubChannel(
      vm: options.vm, sharesDisplays: options.sharesDisplays, access: access,
      allocate: { [unowned self] count throws(GPUError) in try allocate(count, access) },
      note: note, ready: ready)
    channel.lingers = { [weak self, weak channel] isLingering in
      guard let self, let channel else { return }
      lingering[ObjectIdentifier(channel)] = isLingering ? channel : nil
    }
    channel.start(loop, options.connect)
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
