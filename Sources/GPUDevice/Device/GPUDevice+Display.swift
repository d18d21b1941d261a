import Buffers

/// What the host decides about the displays, and how the guest learns of it: configuration space (virtio 1.3, 5.7.4).
extension GPUDevice {
  /// VIRTIO_GPU_EVENT_DISPLAY.
  private static let displayEvent: UInt32 = 1
  /// Where `events_clear` lies.
  private static let eventsClear = 4..<8

  /// Four words of virtio 1.3 and `blob_alignment` of 1.4.
  public var configurationSize: Int { 20 }

  /// Copies a part of configuration space; bytes behind its end are zero.
  public func readConfiguration(at offset: Int, into target: UnsafeMutableRawBufferPointer) {
    let words = [
      events, 0, UInt32(scanoutCount), UInt32(contextKinds.count),
      offersBlobs ? configuration.blobAlignment.rawValue : 0,
    ]
    let bytes = words.flatMap(littleEndian)
    for index in target.indices {
      let (place, overflow) = offset.addingReportingOverflow(index)
      target[index] = !overflow && bytes.indices.contains(place) ? bytes[place] : 0
    }
  }

  /// Takes what the driver wrote: bits in `events_clear` end events; the rest is read-only.
  public func writeConfiguration(at offset: Int, _ bytes: UnsafeRawBufferPointer) {
    for (index, byte) in bytes.enumerated() {
      let (place, overflow) = offset.addingReportingOverflow(index)
      guard !overflow, Self.eventsClear.contains(place) else { continue }
      events &= ~(UInt32(byte) << UInt32(8 * (place - Self.eventsClear.lowerBound)))
    }
  }

  /// The host asks for another size of a scanout, or (nil) nobody looks at it any more: a hot-plug event for the guest.
  public func setScanoutSize(_ id: ScanoutID, _ size: Size?) {
    guard id.rawValue < ScanoutID.maximumCount, size?.isEmpty != true else { return }
    guard scanouts[Int(id.rawValue)].setSize(size) else { return }
    updateDisplayModes()
    events |= Self.displayEvent
    configurationChanged?()
  }

  /// Another number of scanouts, 1 to 16: for a VMM that tells its guest its own. Scanouts left out are turned off.
  public func setScanoutCount(_ count: Int) {
    scanoutCount = min(max(1, count), ScanoutID.maximumCount)
    for scanout in scanouts[scanoutCount...] { turnOff(scanout.id) }
    updateDisplayModes()
  }

  /// The answer to GET_DISPLAY_INFO: the scanouts side by side.
  func updateDisplayModes() {
    var x: UInt32 = 0
    displayModes = scanouts.prefix(scanoutCount).map { scanout in
      guard scanout.isEnabled else { return .disabled }
      let (width, height) = (scanout.size.width, scanout.size.height)
      defer { x = x.addingReportingOverflow(width).partialValue }
      return DisplayMode(area: Rectangle(x: x, y: 0, width: width, height: height), isEnabled: true)
    }
  }
}
