import Buffers
import Platform

/// What a link's consumer is told.
protocol ConsumerLinkOwner: AnyObject {
  func link(
    _ link: ConsumerLink, damaged scanout: ScanoutIndex, _ damage: Rectangle, generation: UInt64, serial: UInt64)
  /// The producer has gone, or sent what is no message of a link.
  func linkEnded(_ link: ConsumerLink)
}

/// A consumer's end of a link: damage comes in without passing the hub, what was latched goes back the same way
/// (protocol.md section 12).
final class ConsumerLink {
  private struct Scanout {
    var told: UInt64 = 0
    var latched: UInt64 = 0
    var sent: UInt64 = 0
  }

  let id: LinkID
  let vm: PeerName
  private weak var owner: (any ConsumerLinkOwner)?
  private let connection: HubConnection
  private let loop: EventLoop
  private var scanouts = [Scanout](repeating: Scanout(), count: ScanoutIndex.maximumCount)
  private var isPumpScheduled = false
  private lazy var pump: () -> Void = { [weak self] in self?.sendLatched() }

  /// Takes over the consumer's end.
  init(
    _ id: LinkID, vm: PeerName, _ descriptor: consuming FileDescriptor, owner: any ConsumerLinkOwner, loop: EventLoop
  ) throws(SystemError) {
    self.id = id
    self.vm = vm
    self.owner = owner
    self.loop = loop
    connection = try HubConnection(descriptor, loop: loop, packetsPerTurn: 2)
    connection.handler = self
  }

  /// The newest flush of a scanout that has come in.
  func told(_ scanout: ScanoutIndex) -> UInt64 { scanouts[scanout.index].told }

  /// Everything through that flush is in the frame, or cannot be seen.
  func latch(_ scanout: ScanoutIndex, through serial: UInt64) {
    guard serial > scanouts[scanout.index].latched else { return }
    scanouts[scanout.index].latched = serial
    guard !isPumpScheduled else { return }
    isPumpScheduled = true
    loop.afterEvents(pump)
  }

  func close() { connection.close() }

  private func sendLatched() {
    isPumpScheduled = false
    for index in scanouts.indices where scanouts[index].latched > scanouts[index].sent {
      let serial = scanouts[index].latched
      guard connection.send(.linkLatched(ScanoutIndex(index)), serial: serial) else { break }
      scanouts[index].sent = serial
    }
    connection.transmit()
  }
}

extension ConsumerLink: HubConnectionHandler {
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    guard case .linkDamage(let scanout, let generation, let damage) = message else {
      close()
      owner?.linkEnded(self)
      return
    }
    scanouts[scanout.index].told = max(scanouts[scanout.index].told, serial)
    owner?.link(self, damaged: scanout, damage, generation: generation, serial: serial)
  }

  func connectionHasRoom(_ connection: HubConnection) { sendLatched() }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    owner?.linkEnded(self)
  }
}
