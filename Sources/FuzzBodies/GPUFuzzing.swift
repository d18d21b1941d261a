import Buffers
import GPUDevice
import Platform
import Virtqueue

/// Drives a card with a guest that sends anything, over memory that comes and goes, and a display that answers when it
/// likes.
@Sendable public func fuzzGPUDevice(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the card.
  guard var machine = try? GPUMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// The input: ring format; then actions of one byte each with their operands.
private struct GPUMachine {
  private static let slotCount = 24
  private static let requestRoom = 1024
  private static let replyRoom = 1100
  private static let neighbour = GuestAddress(0x110000)
  private static let neighbourCount = 0x10000

  private var input: FuzzInput
  private let arena: GuestArena
  private let display = FuzzDisplay()
  private let window = FuzzWindow()
  private let device: GPUDevice
  /// Nil where the card draws in 2D only.
  private let renderer: FuzzRenderer?
  private let drivers: [VirtqueueDriver]
  private let slots: GuestAddress
  private var nextSlot = 0
  private let region: MemoryRegion?

  init(_ input: FuzzInput) throws {
    var input = input
    let format: VirtqueueConfiguration.Format = input.byte() & 1 == 0 ? .split : .packed
    arena = try GuestArena([(GuestAddress(0x10000), 0x100000), (Self.neighbour, Self.neighbourCount)])
    let (arena, display) = (arena, display)
    let choice = input.byte()
    let renderer = choice & 8 == 0 ? nil : FuzzRenderer()
    self.renderer = renderer
    device = GPUDevice(
      configuration: Self.configuration(choice), sink: display,
      contextKinds: renderer.map { [FuzzRenderedContexts($0)] } ?? [], renderer: renderer)
    drivers = try (0..<2).map { _ in try VirtqueueDriver(arena: arena, size: 16, format: format) }
    slots = try arena.allocate(Self.slotCount * (Self.requestRoom + Self.replyRoom))
    region = arena.memory.region(containing: Self.neighbour)
    self.input = input
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    startQueues()
  }

  private static func configuration(_ choice: UInt8) -> GPUConfiguration {
    var configuration = GPUConfiguration(
      scanouts: [Size(width: 64, height: 64), Size(width: 32, height: 32)],
      limits: .usualLimits(hostAllocated: 1 << 20),
      maximumResources: 20)
    configuration.limits.contexts = 3
    configuration.allocation = choice & 1 == 0 ? .guest : .host
    configuration.hostVisible = choice & 2 == 0 ? 1 << 20 : 0
    configuration.blobAlignment = choice & 4 == 0 ? .pages4K : .pages16K
    configuration.maximumMappings = 4
    return configuration
  }

  mutating func run() {
    device.sharedMemoryWindowChanged(window)
    while !input.isEmpty { step() }
    device.reset()
    window.answerAll(device, succeeded: true)
    window.answerAll(device, succeeded: true)
    display.held = []
    precondition(device.mappedBlobCount == 0 && device.contextCount == 0, "something outlived the reset")
    precondition(device.resourceCount == 0 && device.memoryUsed == 0, "something outlived the reset")
    precondition(renderer?.isEmpty ?? true, "the renderer has something that outlived the reset")
  }

  private mutating func step() {
    switch input.byte() % 20 {
    case 0...6: send(wellFormed().encoded(flags: flags(), fence: FenceID(rawValue: input.next())), on: 0)
    case 16, 17: send(blobCommand().encoded(flags: flags(), context: context()), on: 0)
    case 18: if renderer != nil && input.byte() & 1 == 0 { render() } else { createBlob() }
    case 19: answerWindow()
    case 7: attach()
    case 8: send(cursor().encoded(flags: flags()), on: 1)
    case 9, 10: send(Array(input.take(Int(input.byte()))), on: Int(input.byte() & 1))
    case 11: complete()
    case 12: changeMemory()
    case 13: changeDisplay()
    case 14: restart()
    default: changeDisplays(input.byte())
    }
  }

  /// Displays latch at once or later, and can use more or less than before.
  private func changeDisplays(_ choice: UInt8) {
    display.result = choice & 1 == 0 ? .latched : .pending
    guard choice & 2 != 0 else { return }
    display.constraints.strideAlignment = [1, 64, 256, 4096][Int(choice >> 2 & 3)]
    display.constraints.widthMultiple = choice & 16 == 0 ? 1 : 7
    for index: UInt32 in 0..<2 { try? device.constraintsChanged(of: ScanoutID(rawValue: index)) }
  }

  // MARK: Requests

  private mutating func flags() -> CommandFlags { CommandFlags(rawValue: UInt32(input.byte() & 3)) }
  private mutating func id() -> ResourceID { ResourceID(rawValue: UInt32(input.byte() % 24)) }
  private mutating func scanout() -> ScanoutID { ScanoutID(rawValue: UInt32(input.byte() % 4)) }

  /// Mostly small; sometimes anything.
  private mutating func number() -> UInt32 {
    let byte = input.byte()
    return byte < 240 ? UInt32(byte) : input.next()
  }

  private mutating func rectangle() -> Rectangle {
    Rectangle(x: number(), y: number(), width: number(), height: number())
  }

  private mutating func wellFormed() -> Command {
    switch input.byte() % 12 {
    case 0, 1: .resourceCreate2D(id(), format: UInt32(input.byte() % 5), size: Size(width: number(), height: number()))
    case 2: .resourceUnref(id())
    case 3: .setScanout(scanout(), resource: id(), source: rectangle())
    case 4: .resourceFlush(id(), rectangle())
    case 5, 6: .transferToHost2D(id(), rectangle(), offset: UInt64(number()))
    case 7: .resourceDetachBacking(id())
    case 8: .getEDID(scanout())
    case 9: .resourceAssignUUID(id())
    case 10: .transferToHost2D(id(), rectangle(), offset: input.next())
    default: .getDisplayInfo
    }
  }

  private mutating func context() -> ContextID { ContextID(rawValue: UInt32(input.byte() % 5)) }

  private mutating func blobCommand() -> Command {
    switch input.byte() % 10 {
    case 0, 1: .setScanoutBlob(blobScanout())
    case 2, 3: .resourceMapBlob(id(), offset: input.byte() < 240 ? UInt64(input.byte() % 64) << 14 : input.next())
    case 4: .resourceUnmapBlob(id())
    case 5: .contextCreate(nameLength: number(), kind: number())
    case 6: .contextDestroy
    case 7: .contextAttachResource(id())
    case 8: .contextDetachResource(id())
    default: .submit3D(byteCount: number(), fenceCount: number())
    }
  }

  /// What only a card with a renderer does: in context 1, mostly.
  private mutating func render() {
    let context = ContextID(rawValue: input.byte() < 200 ? 1 : UInt32(input.byte() % 5))
    var tail: [UInt8] = []
    let command: Command
    switch input.byte() % 8 {
    case 0: command = .contextCreate(nameLength: 0, kind: UInt32(input.byte() & 3))
    case 1: command = .contextAttachResource(id())
    case 2:
      tail = [UInt8](repeating: 0, count: Int(input.byte()))
      command = .submit3D(byteCount: UInt32(tail.count), fenceCount: 0)
    case 3: command = .resourceCreate3D(texture())
    case 4: command = .transferToHost3D(Command.Transfer3D(resource: id()))
    case 5: command = .transferFromHost3D(Command.Transfer3D(resource: id()))
    default:
      var blob = Command.CreateBlob(
        resource: id(), memory: 2 + UInt32(input.byte() & 1), flags: UInt32(input.byte() & 7), entryCount: 0,
        blob: UInt64(input.byte()), byteCount: UInt64(input.byte() % 5) << 12)
      tail = blob.memory == 3 ? pages() : []
      blob.entryCount = UInt32(tail.count / MemoryEntry.byteCount)
      command = .resourceCreateBlob(blob)
    }
    send(command.encoded(context: context) + tail, on: 0)
  }

  private mutating func texture() -> Command.Create3D {
    var texture = Command.Create3D(resource: id())
    texture.size = Size(width: small(), height: small())
    (texture.target, texture.format, texture.depth) = (2, UInt32(input.byte() % 5), UInt32(input.byte() % 10))
    return texture
  }

  /// Mostly a picture that fits a small blob.
  private mutating func blobScanout() -> Command.SetScanoutBlob {
    let size = Size(width: small(), height: small())
    let isUsual = input.byte() < 200
    let source = isUsual ? Rectangle(size) : rectangle()
    return Command.SetScanoutBlob(
      source: source, scanout: scanout(), resource: id(), size: size,
      format: isUsual ? 1 : UInt32(input.byte() % 5), stride: isUsual ? size.width &* 4 : number() &* 4,
      offset: isUsual ? UInt32(input.byte() % 8) * 4 : number())
  }

  /// From 1 to 32, or anything.
  private mutating func small() -> UInt32 {
    let byte = input.byte()
    return byte < 250 ? UInt32(byte % 32) + 1 : input.next()
  }

  /// Mostly one of four pages, in the guest's memory or the host's, without anything that is not meant for its kind.
  private mutating func createBlob() {
    let (isUsual, isHosts) = (input.byte() < 200, input.byte() & 1 == 1)
    var blob = Command.CreateBlob(
      resource: id(), memory: isHosts ? 2 : 1, flags: UInt32(input.byte() & 7), entryCount: 0, blob: 0,
      byteCount: 4 << 12)
    if !isUsual {
      blob.memory = UInt32(input.byte() % 5)
      blob.flags = number()
      blob.blob = input.next()
      blob.byteCount = input.byte() & 1 == 0 ? UInt64(input.byte() % 32) << 12 : input.next()
    }
    let entries = isUsual ? isHosts ? [] : pages() : entries()
    blob.entryCount = isUsual ? UInt32(entries.count / MemoryEntry.byteCount) : number()
    send(
      Command.resourceCreateBlob(blob).encoded(context: isUsual ? ContextID(rawValue: 0) : context()) + entries, on: 0)
  }

  /// Four pages of the guest's, in a row or apart, here or in the region that comes and goes.
  private mutating func pages() -> [UInt8] {
    (0..<4).flatMap { _ in
      MemoryEntry(address: GuestAddress(0x100000 + UInt64(input.byte() % 32) << 12), length: 4096).encoded
    }
  }

  private mutating func answerWindow() {
    let succeeded = input.byte() & 3 != 0
    window.isOpen = input.byte() & 7 != 0
    window.answerAll(device, succeeded: succeeded)
    drain()
  }

  private mutating func cursor() -> Command {
    let update = Command.CursorUpdate(
      scanout: scanout(), x: input.next(), y: input.next(), resource: id(), hotX: number(), hotY: number())
    return input.byte() & 1 == 0 ? .updateCursor(update) : .moveCursor(update)
  }

  private mutating func attach() {
    let (id, entries) = (id(), entries())
    let count = UInt32(entries.count / MemoryEntry.byteCount)
    let claimed = input.byte() < 250 ? count : input.next()
    send(Command.resourceAttachBacking(id, entryCount: claimed).encoded() + entries, on: 0)
  }

  private mutating func entries() -> [UInt8] {
    (0..<Int(input.byte() % 40)).flatMap { _ in
      let start = input.byte() < 250 ? UInt64(0x100000 + Int(input.next(UInt16.self)) * 4) : input.next()
      return MemoryEntry(address: GuestAddress(start), length: input.byte() & 1 == 0 ? 4096 : number()).encoded
    }
  }

  /// Offers a request in pieces, lets the device work, and checks what comes back.
  private mutating func send(_ bytes: [UInt8], on queue: Int) {
    let (pieces, room) = (Int(input.byte() % 8) + 1, min(Int(input.byte()) * 5, Self.replyRoom))
    let request = slots.advanced(by: UInt64(nextSlot * (Self.requestRoom + Self.replyRoom))) ?? slots
    nextSlot = (nextSlot + 1) % Self.slotCount
    let bytes = bytes.prefix(Self.requestRoom)
    arena.bytes(at: request, count: Self.requestRoom).copyBytes(from: bytes)
    let readable = Self.split(request, bytes.count, pieces)
    let writable = Self.split(request.advanced(by: UInt64(Self.requestRoom)) ?? request, room, pieces)
    if drivers[queue].add(readable: readable, writable: writable, indirect: pieces > 2) == nil { return drain() }
    device.kicked(queue: queue)
    drain()
  }

  private func drain() {
    for driver in drivers {
      while driver.poll() != nil {}
      precondition(driver.violations.isEmpty, "the device broke the ring: \(driver.violations)")
    }
    if drivers[0].inFlightCount > device.heldAnswerCount || drivers[1].inFlightCount > 0 {
      preconditionFailure("a request was not answered")
    }
  }

  private static func split(_ address: GuestAddress, _ count: Int, _ pieces: Int) -> [VirtqueueDriver.Buffer] {
    guard count > 0 else { return [] }
    let size = (count + pieces - 1) / pieces
    return stride(from: 0, to: count, by: size).map { start in
      VirtqueueDriver.Buffer(GuestAddress(address.rawValue + UInt64(start)), UInt32(min(size, count - start)))
    }
  }

  // MARK: What the host does

  private mutating func complete() {
    let scanout = scanout()
    let serial = UInt64(input.byte())
    if input.byte() & 1 == 0 {
      device.completeFlush(FlushToken(serial: serial, scanout: scanout, isFenced: false))
    } else {
      device.completeFlushes(of: scanout, through: input.byte() & 1 == 0 ? serial : .max)
    }
    drain()
  }

  private func changeMemory() {
    let isThere = arena.memory.region(containing: Self.neighbour) != nil
    if isThere {
      try? arena.memory.remove(at: Self.neighbour, count: UInt64(Self.neighbourCount))
    } else if let region {
      try? arena.memory.add(region)
    }
    device.memoryChanged(arena.memory)
  }

  private mutating func changeDisplay() {
    let size = Size(width: number(), height: number())
    switch input.byte() % 4 {
    case 0: device.setScanoutSize(scanout(), nil)
    case 1: device.setScanoutCount(Int(input.byte() % 20))
    default: device.setScanoutSize(scanout(), size)
    }
    var bytes = [UInt8](repeating: 0, count: Int(input.byte() % 24))
    bytes.withUnsafeMutableBytes { device.readConfiguration(at: Int(input.byte() % 24), into: $0) }
    bytes.withUnsafeBytes { device.writeConfiguration(at: Int(input.byte() % 24), $0) }
  }

  private mutating func restart() {
    for queue in 0..<2 { device.stop(queue: queue) }
    drain()
    if input.byte() & 1 == 0 { device.reset() }
    if input.byte() & 7 == 0 { reconnect() }
    for driver in drivers { try? driver.reset() }
    startQueues()
  }

  /// Another transport: the old one's changes have failed, its mappings are gone.
  private func reconnect() {
    window.answerAll(device, succeeded: false)
    window.forget()
    device.sharedMemoryWindowChanged(nil)
    device.reset()
    device.sharedMemoryWindowChanged(window)
  }

  private func startQueues() {
    for (index, driver) in drivers.enumerated() {
      guard let queue = try? Virtqueue(index: index, configuration: driver.configuration, memory: arena.memory) else {
        preconditionFailure("the ring is in guest memory")
      }
      device.start(queue)
    }
  }
}

/// A display that checks what it is told.
private final class FuzzDisplay: DisplaySink {
  var result = FlushResult.latched
  /// What those can use who are shown something.
  var constraints = Constraints()
  /// Pictures that are still read.
  var held: [Picture] = []
  private var shown: [ScanoutID: ScanoutContent] = [:]
  private var sum: UInt32 = 0

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {
    shown[scanout] = content
    guard let content else { return }
    precondition(!content.source.isEmpty && content.source.fits(in: content.picture.layout.size))
  }

  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult {
    guard let content = shown[scanout], content.picture === picture else { preconditionFailure("not shown") }
    precondition(!damage.isEmpty && content.source.contains(damage) && token.scanout == scanout)
    var last: UInt32 = 0
    let corner = Rectangle(x: UInt32(damage.maxX - 1), y: UInt32(damage.maxY - 1), width: 1, height: 1)
    withUnsafeMutableBytes(of: &last) { bytes in
      if let base = bytes.baseAddress { _ = picture.copy(corner, to: base, stride: 4) }
    }
    sum ^= last
    return result
  }

  func cursorChanged(_ cursor: CursorState) {
    precondition(cursor.image.map { $0.bytes.count == 16_384 } ?? true)
  }

  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {}

  func constraints(of scanouts: ScanoutMask) -> Constraints { constraints }

  func pictureRetired(_ picture: Picture) {
    precondition(!shown.values.contains { $0.picture === picture }, "retired while it is shown")
    if result == .pending { held.append(picture) }
  }

  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) {
    precondition(shown[scanout]?.picture === picture, "moved, but not shown")
  }
}
