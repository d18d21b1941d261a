import GPUProtocol
import Geometry
import Machine
import VirtioRing

/// The device id of a GPU (virtio 1.3, 5.7.1).
let gpuDeviceID: UInt16 = 16

/// A virtio-gpu device (virtio 1.3, 5.7), driven by one command at a time.
struct GPUDriver<Bus: Transport>: ~Copyable {
  private let transport: Bus
  private var control: DriverQueue
  /// Room for one request and its entries, and for one answer.
  private let request = DeviceMemory.allocate(4096)
  private let answer = DeviceMemory.allocate(4096)

  /// Starts the device with what it offers of the features of the rings.
  init(_ transport: Bus) throws(GuestError) {
    self.transport = transport
    let features = try transport.negotiate(wanted: RingFeature.all)
    let size = min(transport.maximumSize(ofQueue: 0), 64)
    guard size > 0 else { throw .noQueue }
    let format: VirtqueueConfiguration.Format = features & RingFeature.packed != 0 ? .packed : .split
    let parts = RingParts(
      RingExtents(size: size, format: format, eventIndex: features & RingFeature.eventIndex != 0))
    let configuration = VirtqueueConfiguration(size: size, features: features, addresses: parts.addresses)
    do throws(VirtqueueError) {
      control = try DriverQueue(configuration, parts: parts)
    } catch {
      throw .badRing(error)
    }
    control.suppressCalls()
    transport.enable(queue: 0, configuration)
    transport.go()
  }

  /// Whether the control queue is a packed one.
  var isPacked: Bool { control.configuration.format == .packed }
  /// How often the device broke the rules of the ring.
  var violationCount: Int { control.violationCount }

  // MARK: Commands

  /// Has a command done, and waits for the answer.
  mutating func perform(_ command: Command, entries: [MemoryEntry] = []) throws(GuestError) -> Response {
    var count = command.encode(into: request)
    for entry in entries {
      guard request.count - count >= MemoryEntry.byteCount else { throw .outOfMemory }
      entry.encode(into: UnsafeMutableRawBufferPointer(rebasing: request[count...]))
      count += MemoryEntry.byteCount
    }
    let response = try decode(answer[..<min(try exchange(count), answer.count)])
    guard case .error(let code) = response else { return response }
    throw .refused(code)
  }

  private func decode(_ bytes: Slice<UnsafeMutableRawBufferPointer>) throws(GuestError) -> Response {
    do throws(ResponseError) {
      return try Response.decode(UnsafeRawBufferPointer(rebasing: bytes))
    } catch {
      throw .badAnswer(error)
    }
  }

  /// Offers the request, wakes the device, and looks at the ring until it comes back; the bytes of the answer.
  private mutating func exchange(_ count: Int) throws(GuestError) -> Int {
    let readable: InlineArray = [DeviceMemory.buffer(request, count)]
    let writable: InlineArray = [DeviceMemory.buffer(answer, answer.count)]
    guard control.add(readable: readable.span, writable: writable.span) != nil else { throw .ringFull }
    if control.wantsKick() { transport.notify(queue: 0) }
    while true {
      if let completion = control.poll() { return Int(completion.written) }
      machine_relax()
    }
  }

  // MARK: Pictures

  /// The size that a scanout wants to be used with (GET_DISPLAY_INFO).
  mutating func preferredSize(of scanout: ScanoutID) throws(GuestError) -> Size {
    guard case .okDisplayInfo(let modes) = try perform(.getDisplayInfo) else { throw .noDisplay }
    let mode = modes[Int(scanout.rawValue)]
    guard mode.isEnabled, !mode.area.isEmpty else { throw .noDisplay }
    return mode.area.size
  }

  /// A picture in memory of the guest, backing a resource that the scanout shows.
  mutating func makeScreen(_ id: ResourceID, on scanout: ScanoutID, size: Size) throws(GuestError) -> Screen {
    let screen = Screen(id: id, size: size)
    let entry = MemoryEntry(address: DeviceMemory.address(of: screen.base), length: UInt32(screen.byteCount))
    _ = try perform(.resourceCreate2D(id, format: ResourceFormat.b8g8r8x8.rawValue, size: size))
    _ = try perform(.resourceAttachBacking(id, entryCount: 1), entries: [entry])
    _ = try perform(.setScanout(scanout, resource: id, source: Rectangle(size)))
    return screen
  }

  /// Shows what was drawn in a part of the picture. The answer comes when it is on the display.
  mutating func show(_ part: Rectangle, of screen: Screen) throws(GuestError) {
    _ = try perform(.transferToHost2D(screen.id, part, offset: UInt64(screen.offset(part.x, part.y))))
    _ = try perform(.resourceFlush(screen.id, part))
  }
}

/// The pixels of a screen, 32 bits each: from the top, unused, red, green, blue.
struct Screen {
  let id: ResourceID
  let size: Size
  let base: UnsafeMutableRawPointer

  init(id: ResourceID, size: Size) {
    self.id = id
    self.size = size
    let byteCount = 4 * Int(size.width) * Int(size.height)
    base = DeviceMemory.allocate(byteCount, alignment: 4096).baseAddress.unsafelyUnwrapped
  }

  var byteCount: Int { 4 * Int(size.width) * Int(size.height) }

  func offset(_ x: UInt32, _ y: UInt32) -> Int { 4 * (Int(y) * Int(size.width) + Int(x)) }

  func set(_ x: UInt32, _ y: UInt32, _ pixel: UInt32) {
    base.storeBytes(of: pixel.littleEndian, toByteOffset: offset(x, y), as: UInt32.self)
  }
}
