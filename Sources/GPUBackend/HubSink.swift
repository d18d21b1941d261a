import Buffers
import GPUDevice
import HubProtocol
import Logging
import Platform

/// Shows a card's scanouts by way of the hub: each picture's memory is registered once, a flush is one small message.
final class HubSink: DisplaySink {
  /// The card whose flushes it completes; not kept alive.
  weak var device: GPUDevice?

  private let client: ProducerClient
  private let log: RateLimitedLog
  /// Pictures that the guest has given up and that somebody may still read: charged to the VM until nobody does.
  private var retired: [BufferID: HostBuffer] = [:]
  private var waiting = [FlushOrder](repeating: FlushOrder(), count: ScanoutIndex.maximumCount)

  /// A sink at a client that announces `modes`, one for each scanout. Call `start` once the device is known.
  init(client: ProducerClient, modes: [Size], log: RateLimitedLog) {
    self.client = client
    self.log = log
    client.delegate = self
    for (index, mode) in modes.enumerated() { client.setMode(mode, of: ScanoutIndex(index)) }
  }

  /// Whether a VMM drives the card.
  func setVMConnected(_ connected: Bool) { client.setVMConnected(connected) }

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {
    guard let content else { return client.turnOff(scanout.index) }
    do throws(SystemError) {
      try client.show(content.buffer, source: content.source, on: scanout.index)
    } catch {
      log.warning("buffer not shown", ["scanout": "\(scanout.rawValue)", "reason": "\(error)"])
      client.turnOff(scanout.index)
    }
  }

  func flush(_ scanout: ScanoutID, buffer: HostBuffer, damage: Rectangle, token: FlushToken) -> FlushResult {
    guard let serial = client.flush(scanout.index, damage: damage) else { return .latched }
    waiting[scanout.index.index].append(hub: serial, device: token.serial)
    return .pending
  }

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

  func bufferRetired(_ buffer: HostBuffer) {
    retired[buffer.id] = buffer
    if !client.retire(buffer.id) { retired[buffer.id] = nil }
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

  func producer(_ client: ProducerClient, freed buffer: BufferID) { retired[buffer] = nil }

  /// A consumer may keep the picture for ever: its pages go, so that it costs nothing and shows nothing any more.
  func producer(_ client: ProducerClient, revoked buffer: BufferID) {
    guard let picture = retired[buffer] else { return }
    do throws(SystemError) {
      try picture.punch()
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
