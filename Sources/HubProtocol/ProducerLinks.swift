import Buffers
import Platform

/// Who is told what happens on a producer's links.
protocol ProducerLinksOwner: AnyObject {
  /// More of a scanout may be done.
  func linksSettled(_ scanout: ScanoutIndex)
  /// The hub is to be told which way flushes go.
  func linksChanged()
}

/// A producer's links: at most one for each display, as the hub makes them.
final class ProducerLinks {
  private weak var owner: (any ProducerLinksOwner)?
  private let loop: EventLoop
  private var links: [ProducerLink] = []
  /// The links whose way the hub was not told yet, in the order in which they changed.
  private var untold: [Answer] = []
  private struct Answer {
    let link: LinkID
    var serial: UInt64
  }

  private var isTransmitScheduled = false
  private lazy var transmit: () -> Void = { [weak self] in self?.transmitAll() }

  init(owner: any ProducerLinksOwner, loop: EventLoop) {
    self.owner = owner
    self.loop = loop
  }

  /// LINK_OPEN: a link in the place of the one that there was to this display. One that the system has no room for is
  /// told as one that leads nowhere.
  func open(_ id: LinkID, display: PeerName, _ descriptor: consuming FileDescriptor, owner: any ProducerLinkOwner) {
    for link in links where link.display == display || link.id == id { close(link) }
    if let link = try? ProducerLink(id, display: display, descriptor, owner: owner, loop: loop) {
      links.append(link)
    } else {
      note(id, 0)
    }
  }

  /// LINK_SCANOUTS: what the display of a link shows. From now on flushes go that way, which the hub is told.
  func show(_ id: LinkID, _ scanouts: ScanoutSet, serial: UInt64) {
    for link in links where link.id == id { link.show(scanouts, serial: serial) }
    note(id, serial)
    settleAll()
  }

  /// Tells every display that shows the scanout of a flush; whether there is one.
  func flush(_ scanout: ScanoutIndex, _ damage: Rectangle, generation: UInt64, serial: UInt64) -> Bool {
    var isTold = false
    for link in links where link.shown.contains(scanout) {
      link.flush(scanout, damage, generation: generation, serial: serial)
      isTold = true
    }
    if isTold && !isTransmitScheduled {
      isTransmitScheduled = true
      loop.afterEvents(transmit)
    }
    return isTold
  }

  private func transmitAll() {
    isTransmitScheduled = false
    for link in links { link.transmit() }
  }

  /// The newest serial that all displays with a link have latched; `UInt64.max` when none owes anything.
  func done(_ scanout: ScanoutIndex) -> UInt64 {
    var done = UInt64.max
    for link in links { done = min(done, link.done(scanout)) }
    return done
  }

  /// The hub that made them has another successor.
  func closeAll() {
    for link in links { link.close() }
    links.removeAll()
    untold.removeAll()
    settleAll()
  }

  /// Sends LINK_ROUTE for what has changed, as far as there is room.
  func tell(_ send: (LinkID, ScanoutSet, _ serial: UInt64) -> Bool) -> Bool {
    while let answer = untold.first {
      let shown = links.first { $0.id == answer.link }?.shown ?? []
      guard send(answer.link, shown, answer.serial) else { return false }
      untold.removeFirst()
    }
    return true
  }

  /// A link has ended.
  func remove(_ link: ProducerLink) {
    guard links.contains(where: { $0 === link }) else { return }
    links.removeAll { $0 === link }
    note(link.id, link.shownSerial)
    settleAll()
  }

  private func close(_ link: ProducerLink) {
    link.close()
    links.removeAll { $0 === link }
  }

  private func note(_ id: LinkID, _ serial: UInt64) {
    if let index = untold.firstIndex(where: { $0.link == id }) {
      untold[index].serial = max(serial, untold[index].serial)
    } else {
      untold.append(Answer(link: id, serial: serial))
    }
    owner?.linksChanged()
  }

  private func settleAll() {
    for index in 0..<ScanoutIndex.maximumCount { owner?.linksSettled(ScanoutIndex(index)) }
  }
}
