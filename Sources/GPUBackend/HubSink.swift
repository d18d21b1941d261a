import Buffers
import GPUDevice
import HubProtocol
import Logging
import Platform

/// Shows a card's scanouts by way of the hub: each picture's memory is registered once, a flush is one small message.
final class HubSink: DisplaySink {
  /// The card whose flushes it completes; not kept alive.
  weak var device: GPUDevice? {
    didSet {
      sharing = device.map {
        PictureSharing(client: client, ledger: $0.ledger, sources: $0.configuration.sources)
      }
    }
  }

  private let client: ProducerClient
  private let log: RateLimitedLog
  private(set) var sharing: PictureSharing?
  private var merged: MergedRequirements
  /// What each scanout shows.
  private var contents = [ScanoutContent?](repeating: nil, count: ScanoutIndex.maximumCount)
  /// Reasons for copies that the log has.
  private var toldReasons: Set<HandOverReason> = []
  private var waiting = [FlushOrder](repeating: FlushOrder(), count: ScanoutIndex.maximumCount)

  /// A sink at a client that announces `modes`, one for each scanout. Call `start` once the device is known.
  init(client: ProducerClient, modes: [Size], log: RateLimitedLog) {
    self.client = client
    self.log = log
    merged = MergedRequirements(client: client, scanoutCount: modes.count)
    client.delegate = self
    for (index, mode) in modes.enumerated() { client.setMode(mode, of: ScanoutIndex(index)) }
  }

  /// Whether a VMM drives the card.
  func setVMConnected(_ connected: Bool) { client.setVMConnected(connected) }

  // MARK: Pictures

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {
    let former = contents[scanout.index.index]?.picture
    contents[scanout.index.index] = content
    if let content { show(content, on: scanout, isReview: false) } else { client.turnOff(scanout.index) }
    if let former, former !== content?.picture { leave(former) }
  }

  /// A picture is shown on one scanout less: what is left of its consumers may take a better way.
  private func leave(_ former: Picture) {
    guard let index = contents.firstIndex(where: { $0?.picture === former }), let content = contents[index] else {
      return
    }
    show(content, on: ScanoutID(rawValue: UInt32(index)), isReview: false)
  }

  /// On which scanouts a picture is.
  private func scanouts(of picture: Picture) -> ScanoutMask {
    var mask: ScanoutMask = []
    for index in contents.indices where contents[index]?.picture === picture {
      mask.insert(ScanoutMask(ScanoutID(rawValue: UInt32(index))))
    }
    return mask
  }

  func constraints(of scanouts: ScanoutMask) -> Constraints { merged.requirements(of: scanouts).constraints }

  private func show(_ content: ScanoutContent, on scanout: ScanoutID, isReview: Bool) {
    guard let sharing else { return }
    let before = sharing.known(content.picture)
    do throws(HandOverRefusal) {
      let needs = merged.requirements(of: scanouts(of: content.picture))
      let handed =
        isReview
        ? try sharing.review(content.picture, for: needs) : try sharing.picture(content.picture, for: needs)
      if handed !== before { begin(handed) }
      try show(handed, content.source, on: scanout)
      if let before, handed !== before { replace(before, by: handed) }
    } catch {
      let reason = error.misfit.map { "\($0) cannot be used by all" } ?? "\(error.reason)"
      log.warning("picture not shown", ["scanout": "\(scanout.rawValue)", "reason": "\(reason)"])
      client.turnOff(scanout.index)
    }
  }

  private func show(_ handed: HandedPicture, _ source: Rectangle, on scanout: ScanoutID) throws(HandOverRefusal) {
    do throws(SystemError) {
      try client.show(handed.shared, source: source, on: scanout.index)
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  /// A copy begins with all pixels.
  private func begin(_ handed: HandedPicture) {
    if let misfit = handed.misfit {
      let disagreement = handed.needs.disagreement.map { " (\($0))" } ?? ""
      log.warning("picture not shown to all", ["reason": "\(misfit) cannot be used by all\(disagreement)"])
    }
    guard handed.copy != nil else { return }
    if toldReasons.insert(handed.shared.reason).inserted {
      log.info("pictures are copied", ["reason": "\(handed.shared.reason)"])
    }
    update(handed, Rectangle(handed.picture.layout.size))
  }

  private func update(_ handed: HandedPicture, _ damage: Rectangle) {
    guard let count = handed.update(damage) else { return }
    device?.notePixelsCopied(count)
  }

  /// The same picture goes another way: other scanouts that show it follow.
  private func replace(_ old: HandedPicture, by fresh: HandedPicture) {
    for index in contents.indices {
      guard let content = contents[index], content.picture === fresh.picture else { continue }
      try? client.show(fresh.shared, source: content.source, on: ScanoutIndex(index))
    }
    sharing?.retire(old)
  }

  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult {
    if let handed = sharing?.known(picture) { update(handed, damage) }
    guard let serial = client.flush(scanout.index, damage: damage) else { return .latched }
    waiting[scanout.index.index].append(hub: serial, device: token.serial)
    return .pending
  }

  func pictureRetired(_ picture: Picture) { sharing?.retire(picture) }

  /// The pages may be elsewhere now, or nowhere: then the scanout is dark until they are back.
  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) {
    guard let content = contents[scanout.index.index] else { return }
    if case .guest(let pages) = picture.memory, !pages.isWhole { return client.turnOff(scanout.index) }
    show(content, on: scanout, isReview: true)
  }

  // MARK: Cursors

  func cursorChanged(_ cursor: CardCursor) {
    let image = cursor.image.flatMap { HubProtocol.CursorImage(copying: $0.bytes) }
    let (x, y) = hotSpot(cursor)
    let state = HubProtocol.CursorState(image: image, x: x, y: y, hotX: cursor.hotX, hotY: cursor.hotY)
    hotSpots[cursor.scanout.index.index] = (cursor.hotX, cursor.hotY)
    client.setCursor(state, of: cursor.scanout.index)
  }

  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {
    let (hotX, hotY) = hotSpots[scanout.index.index]
    client.moveCursor(of: scanout.index, x: x &+ Int32(clamping: hotX), y: y &+ Int32(clamping: hotY))
  }

  /// The device names the place of the picture's corner, the hub that of the pixel that points.
  private var hotSpots = [(UInt32, UInt32)](repeating: (0, 0), count: ScanoutIndex.maximumCount)

  private func hotSpot(_ cursor: CardCursor) -> (Int32, Int32) {
    (cursor.x &+ Int32(clamping: cursor.hotX), cursor.y &+ Int32(clamping: cursor.hotY))
  }
}

extension HubSink: ProducerClientDelegate {
  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64) {
    guard let done = waiting[scanout.index].remove(through: serial) else { return }
    device?.completeFlushes(of: ScanoutID(rawValue: scanout.rawValue), through: done)
  }

  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex) {
    client.setMode(mode, of: scanout)
    device?.setScanoutSize(ScanoutID(rawValue: scanout.rawValue), mode)
  }

  func producer(_ client: ProducerClient, requires requirements: ScanoutRequirements, of scanout: ScanoutIndex) {
    merged.forget()
    if let text = requirements.disagreement {
      log.warning("displays cannot agree", ["scanout": "\(scanout)", "reason": "\(text)"])
    }
    let id = ScanoutID(rawValue: scanout.rawValue)
    do throws(GPUError) {
      try device?.constraintsChanged(of: id)
    } catch {
      log.warning("picture not moved to where all could use it", ["scanout": "\(scanout)", "reason": "\(error)"])
    }
    guard let content = contents[scanout.index] else { return }
    show(content, on: id, isReview: true)
  }

  func producer(_ client: ProducerClient, freed buffer: BufferID) { sharing?.freed(buffer) }

  /// A consumer may keep the picture for ever: its pages go, so that it costs nothing and shows nothing any more.
  func producer(_ client: ProducerClient, revoked buffer: BufferID) {
    do throws(SystemError) {
      guard try sharing?.punch(buffer) == true else { return }
      log.warning("picture taken back from a consumer that did not release it", ["buffer": "\(buffer)"])
    } catch {
      log.warning(
        "picture left with a consumer that did not release it", ["buffer": "\(buffer)", "reason": "\(error)"])
    }
  }

  func producer(_ client: ProducerClient, link: HubLinkState) {
    log.info("hub", ["state": "\(link)"])
  }
}

extension ScanoutID {
  var index: ScanoutIndex { ScanoutIndex(rawValue: rawValue) }
}

/// The flushes of one scanout that wait, oldest first: which of the hub's serial numbers stands for which of the
/// device's.
private struct FlushOrder {
  private var entries: [(hub: UInt64, device: UInt64)] = []

  mutating func append(hub: UInt64, device: UInt64) {
    entries.append((hub, device))
  }

  /// The device's newest serial among those that the hub has done; nil when there is none.
  mutating func remove(through hub: UInt64) -> UInt64? {
    let count = entries.firstIndex { $0.hub > hub } ?? entries.count
    guard count > 0 else { return nil }
    let newest = entries[count - 1].device
    entries.removeFirst(count)
    return newest
  }
}
