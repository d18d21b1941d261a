import HubProtocol
import Platform

/// A link that the hub has made between a producer and a consumer, so that flushes need not pass the hub
/// (protocol.md section 12). The hub keeps no end of it.
final class Introduction {
  let id: LinkID
  let consumer: ConsumerSession
  /// The ends, until they are handed over.
  private var producerEnd: SharedDescriptor?
  private var consumerEnd: SharedDescriptor?
  /// The scanouts that the consumer shows.
  private var shown: ScanoutSet = []
  private var needsTelling = false
  /// Counts what the producer was told; its answers name the newest that they know.
  private var toldSerial: UInt64 = 0
  /// The producer does not use it any more: what the consumer shows goes by the hub.
  private(set) var isEnded = false
  private let made = MonotonicTime.now

  /// Makes a pair of sockets.
  init(_ id: LinkID, _ consumer: ConsumerSession) throws(SystemError) {
    self.id = id
    self.consumer = consumer
    let ends = try UnixSocket.pair(.sequencedPacket).take()
    producerEnd = SharedDescriptor(FileDescriptor(adopting: ends.0))
    consumerEnd = SharedDescriptor(FileDescriptor(adopting: ends.1))
  }

  /// How long it has been there.
  var age: Duration { MonotonicTime.now - made }

  /// What the consumer shows has changed, or some of it does not come by the link yet; whether there is something to
  /// tell.
  func update(_ scanouts: ScanoutSet, needsRoute: Bool) -> Bool {
    guard !isEnded, scanouts != shown || needsRoute else { return false }
    shown = scanouts
    needsTelling = true
    return true
  }

  /// Hands the producer its end, and tells it what to send there; false when its socket is full.
  func tell(_ producer: ProducerSession) -> Bool {
    if let producerEnd {
      guard producer.peer.send(.producerLink(id, display: consumer.name), descriptor: producerEnd) else { return false }
      self.producerEnd = nil
    }
    guard needsTelling else { return true }
    guard producer.peer.send(.linkScanouts(id, shown), serial: toldSerial + 1) else { return false }
    toldSerial += 1
    needsTelling = false
    return true
  }

  /// Hands the consumer its end; false when its socket is full.
  func tellConsumer(of vm: PeerName) -> Bool {
    guard let consumerEnd else { return true }
    guard consumer.peer.send(.consumerLink(id, vm: vm), descriptor: consumerEnd) else { return false }
    self.consumerEnd = nil
    return true
  }

  /// The producer says which scanouts' flushes go by the link from now on: those of them that the consumer shows. Nil
  /// for an answer that another one will follow.
  func route(_ scanouts: ScanoutSet, serial: UInt64) -> ScanoutSet? {
    guard serial == toldSerial, !needsTelling else { return nil }
    if scanouts.isEmpty && !shown.isEmpty { isEnded = true }
    return isEnded ? [] : scanouts.intersection(shown)
  }
}
