import Buffers
import Platform

/// What a link's producer is told.
protocol ProducerLinkOwner: AnyObject {
  /// The consumer has latched more.
  func linkLatched(_ link: ProducerLink, _ scanout: ScanoutIndex)
  /// The consumer has gone, or sent what is no message of a link.
  func linkEnded(_ link: ProducerLink)
}

/// A producer's end of a link: each flush goes to one consumer without passing the hub (protocol.md section 12).
///
/// While the consumer does not read, damage is merged: what is kept is constant in size.
final class ProducerLink {
  private struct Scanout {
    var sent: UInt64 = 0
    var latched: UInt64 = 0
    var damage = Rectangle.empty
    var generation: UInt64 = 0
    var isUnsent = false
  }

  let id: LinkID
  let display: PeerName
  /// The scanouts that the consumer shows.
  private(set) var shown: ScanoutSet = []
  /// Of the hub's message that said so.
  private(set) var shownSerial: UInt64 = 0
  private weak var owner: (any ProducerLinkOwner)?
  private let connection: HubConnection
  private var scanouts = [Scanout](repeating: Scanout(), count: ScanoutIndex.maximumCount)

  /// Takes over the producer's end.
  init(
    _ id: LinkID, display: PeerName, _ descriptor: consuming FileDescriptor, owner: any ProducerLinkOwner,
    loop: EventLoop
  ) throws(SystemError) {
    self.id = id
    self.display = display
    self.owner = owner
    connection = try HubConnection(descriptor, loop: loop, packetsPerTurn: 2)
    connection.handler = self
  }

  /// The consumer shows these from now on; the others are not waited for any more.
  func show(_ scanouts: ScanoutSet, serial: UInt64) {
    for index in self.scanouts.indices where !scanouts.contains(ScanoutIndex(index)) {
      self.scanouts[index] = Scanout()
    }
    shown = scanouts
    shownSerial = serial
  }

  /// Tells the consumer of a flush; `transmit` sends it.
  func flush(_ scanout: ScanoutIndex, _ damage: Rectangle, generation: UInt64, serial: UInt64) {
    let index = scanout.index
    scanouts[index].sent = serial
    if !scanouts[index].isUnsent, !connection.isBlocked,
      connection.send(.linkDamage(scanout, generation: generation, damage), serial: serial)
    {
      return
    }
    scanouts[index].damage = scanouts[index].damage.union(damage)
    scanouts[index].generation = generation
    scanouts[index].isUnsent = true
  }

  /// Hands what was told to the socket, as one packet.
  func transmit() { connection.transmit() }

  /// The newest serial that the consumer has latched; `UInt64.max` when it owes nothing.
  func done(_ scanout: ScanoutIndex) -> UInt64 {
    let entry = scanouts[scanout.index]
    return entry.latched >= entry.sent ? .max : entry.latched
  }

  func close() { connection.close() }

  private func sendMerged() {
    for index in scanouts.indices where scanouts[index].isUnsent {
      let entry = scanouts[index]
      let message = Message.linkDamage(ScanoutIndex(index), generation: entry.generation, entry.damage)
      guard connection.send(message, serial: entry.sent) else { return }
      scanouts[index].isUnsent = false
      scanouts[index].damage = .empty
    }
    connection.transmit()
  }
}

extension ProducerLink: HubConnectionHandler {
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    guard case .linkLatched(let scanout) = message else {
      close()
      owner?.linkEnded(self)
      return
    }
    let entry = scanouts[scanout.index]
    guard serial > entry.latched, entry.latched < entry.sent else { return }
    scanouts[scanout.index].latched = min(serial, entry.sent)
    owner?.linkLatched(self, scanout)
  }

  func connectionHasRoom(_ connection: HubConnection) { sendMerged() }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    owner?.linkEnded(self)
  }
}
