import Buffers
import GPUDevice
import Platform
import Virtqueue

/// Drives a card with 3D commands in any order; a renderer that draws nothing minds what reaches it.
@Sendable public func fuzzRendering(_ input: UnsafeRawBufferPointer) {
  let renderer = FuzzRenderer()
  let contexts = FuzzRenderedContexts(renderer, maximumCommandByteCount: 8192, owesFences: true)
  fuzzRendering(input, by: RenderingHost(renderer: renderer, kinds: [contexts]) { _ in contexts.finishSome() })
  precondition(renderer.isEmpty && contexts.count == 0, "something outlived the reset")
}

/// What a card draws with, for a fuzzer's input.
public struct RenderingHost {
  let renderer: any Renderer
  let kinds: [any ContextKind]
  let turn: (UInt8) -> Void

  /// `turn` lets fences be done, some of them or all; a number of the input's goes with it.
  public init(renderer: any Renderer, kinds: [any ContextKind], turn: @escaping (UInt8) -> Void) {
    self.renderer = renderer
    self.kinds = kinds
    self.turn = turn
  }
}

/// The same with a renderer of the caller's, on the caller's thread. Nothing of the guest is left afterwards.
public func fuzzRendering(_ input: UnsafeRawBufferPointer, by host: RenderingHost) {
  // The machine's own resources may run out; that says nothing about the card.
  guard var machine = try? RenderingMachine(FuzzInput(input), host) else { return }
  machine.run()
}

/// The input: actions of one byte each with their operands.
private struct RenderingMachine {
  private static let requestRoom = 8192
  private static let slotCount = 20
  private static let replyRoom = 512
  private static let neighbour = GuestAddress(0x110000)
  private static let neighbourCount = 0x10000
  /// What a test of memory takes at most.
  private static let memoryLimit = 16 << 20

  private var input: FuzzInput
  private let host: RenderingHost
  private let arena: GuestArena
  private let display = NoDisplay()
  private let window = FuzzWindow()
  private let device: GPUDevice
  private let driver: VirtqueueDriver
  private let slots: GuestAddress
  private var nextSlot = 0
  private var lastFence: UInt64 = 0
  private let region: MemoryRegion?

  init(_ input: FuzzInput, _ host: RenderingHost) throws {
    self.input = input
    self.host = host
    arena = try GuestArena([(GuestAddress(0x10000), 0x100000), (Self.neighbour, Self.neighbourCount)])
    var configuration = GPUConfiguration(
      scanouts: [Size(width: 64, height: 64), Size(width: 32, height: 32)],
      limits: .usualLimits(hostAllocated: Self.memoryLimit), maximumResources: 20)
    configuration.limits.contexts = 4
    configuration.allocation = .host
    configuration.hostVisible = 1 << 20
    device = GPUDevice(
      configuration: configuration, sink: display, contextKinds: host.kinds, renderer: host.renderer)
    driver = try VirtqueueDriver(arena: arena, size: 16, format: .split)
    slots = try arena.allocate(Self.slotCount * (Self.requestRoom + Self.replyRoom))
    region = arena.memory.region(containing: Self.neighbour)
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    device.sharedMemoryWindowChanged(window)
    startQueue()
  }

  private func startQueue() {
    guard let queue = try? Virtqueue(index: 0, configuration: driver.configuration, memory: arena.memory) else {
      preconditionFailure("the ring is in guest memory")
    }
    device.start(queue)
  }

  mutating func run() {
    begin()
    while !input.isEmpty { step() }
    device.reset()
    for _ in 0..<2 { window.answerAll(device, succeeded: true) }
    host.turn(0)
    precondition(device.contextCount == 0 && device.resourceCount == 0, "something outlived the reset")
    precondition(device.memoryUsed == 0, "memory outlived the reset")
  }

  /// A context and a picture that is on a screen, so that even short inputs draw; not for all inputs.
  private mutating func begin() {
    guard input.byte() & 1 == 0 else { return }
    send(.contextCreate(nameLength: 0, kind: 0), in: 1)
    send(create(1, target: 2, width: 64, height: 64))
    send(create(2, target: 0, width: 4096, height: 1))
    for id: UInt32 in 1...2 {
      attach(id, pages: 4)
      send(.contextAttachResource(ResourceID(rawValue: id)), in: 1)
    }
    let screen = Rectangle(x: 0, y: 0, width: 64, height: 64)
    send(.setScanout(ScanoutID(rawValue: 0), resource: ResourceID(rawValue: 1), source: screen))
  }

  private mutating func step() {
    switch input.byte() % 32 {
    case 0: send(.contextCreate(nameLength: 0, kind: UInt32(input.byte() % 4)), in: context())
    case 1: send(.contextDestroy, in: context())
    case 2, 3: send(.resourceCreate3D(description()))
    case 4: attach(UInt32(input.byte() % 8), pages: Int(input.byte() % 8))
    case 5: send(.resourceDetachBacking(id()))
    case 6: send(.contextAttachResource(id()), in: context())
    case 7: send(.contextDetachResource(id()), in: context())
    case 8: send(.transferToHost3D(transfer()), in: context())
    case 9: send(.transferFromHost3D(transfer()), in: context())
    case 10: send(.resourceUnref(id()))
    case 11: send(.setScanout(ScanoutID(rawValue: UInt32(input.byte() % 3)), resource: id(), source: rectangle()))
    case 12: send(.resourceFlush(id(), rectangle()))
    case 13: changeMemory()
    case 14: restart()
    case 15: host.turn(input.byte())
    case 16: send(Array(input.take(Int(input.byte()))))
    case 17: send(.resourceCreate2D(id(), format: 1, size: Size(width: number(), height: number())))
    case 18: send(.transferToHost2D(id(), rectangle(), offset: UInt64(number())))
    case 19: createBlob()
    case 20: send(.resourceMapBlob(id(), offset: UInt64(input.byte() % 8) << 14))
    case 21: send(.resourceUnmapBlob(id()))
    case 22: window.answerAll(device, succeeded: input.byte() & 3 != 0)
    default: submit()
    }
  }

  /// A blob of a context's, with or without pages of the guest's.
  private mutating func createBlob() {
    let (context, hasPages) = (context(), input.byte() & 1 == 1)
    let blob = Command.CreateBlob(
      resource: id(), memory: hasPages ? 3 : 2, flags: UInt32(input.byte() & 7), entryCount: hasPages ? 4 : 0,
      blob: UInt64(input.byte() % 10), byteCount: input.byte() < 200 ? 4 << 12 : UInt64(number()) << 10)
    send(.resourceCreateBlob(blob), tail: hasPages ? entries(4) : [], in: context)
  }

  // MARK: Operands

  private mutating func id() -> ResourceID { ResourceID(rawValue: UInt32(input.byte() % 8)) }
  private mutating func context() -> UInt32 { UInt32(input.byte() % 5) }

  /// Mostly small; sometimes anything.
  private mutating func number() -> UInt32 {
    let byte = input.byte()
    return byte < 240 ? UInt32(byte % 80) : input.next()
  }

  private mutating func rectangle() -> Rectangle {
    if input.byte() & 3 != 0 { return Rectangle(x: 0, y: 0, width: 32, height: 32) }
    return Rectangle(x: number(), y: number(), width: number(), height: number())
  }

  private func create(_ id: UInt32, target: UInt32, width: UInt32, height: UInt32) -> Command {
    var description = Command.Create3D(resource: ResourceID(rawValue: id))
    description.target = target
    description.format = target == 0 ? 64 : 1
    // A buffer of vertices, indices, constants; or what is drawn into, sampled and shown.
    description.bind = target == 0 ? 1 << 4 : 1 << 1 | 1 << 3 | 1 << 18
    description.size = Size(width: width, height: height)
    return .resourceCreate3D(description)
  }

  /// Mostly a small texture or buffer of a usual format.
  private mutating func description() -> Command.Create3D {
    var description = Command.Create3D(resource: id())
    let isUsual = input.byte() < 200
    description.target = UInt32(input.byte() % 9)
    description.format = [1, 2, 67, 64, 31, 94, 20, 16][Int(input.byte() % 8)]
    description.bind = 1 << UInt32(input.byte() % 20) | 1 << UInt32(input.byte() % 20)
    description.size = Size(width: number(), height: description.target == 0 ? 1 : number())
    guard !isUsual else { return description }
    description.target = number()
    description.format = number()
    description.bind = number()
    description.depth = number()
    description.arraySize = number()
    description.lastLevel = UInt32(input.byte() % 16)
    description.sampleCount = UInt32(input.byte() % 9)
    description.flags = UInt32(input.byte() % 4)
    return description
  }

  private mutating func transfer() -> Command.Transfer3D {
    var transfer = Command.Transfer3D(resource: id())
    (transfer.x, transfer.y, transfer.z) = (number(), number(), number() % 4)
    (transfer.width, transfer.height, transfer.depth) = (number(), number(), 1)
    guard input.byte() & 3 == 0 else { return transfer }
    transfer.depth = number()
    transfer.offset = input.byte() < 200 ? UInt64(number()) : input.next()
    (transfer.level, transfer.stride, transfer.layerStride) = (UInt32(input.byte() % 4), number(), number())
    return transfer
  }

  /// A backing of pages in a row, or apart, of which some come and go.
  private mutating func attach(_ id: UInt32, pages: Int) {
    send(.resourceAttachBacking(ResourceID(rawValue: id), entryCount: UInt32(pages)), tail: entries(pages))
  }

  private mutating func entries(_ count: Int) -> [UInt8] {
    (0..<count).flatMap { _ in
      MemoryEntry(address: GuestAddress(0x100000 + UInt64(input.byte() % 32) << 12), length: 4096).encoded
    }
  }

  // MARK: What is submitted

  private mutating func submit() {
    var stream = CommandStream()
    let context = input.byte() < 220 ? 1 : context()
    for _ in 0...Int(input.byte() % 8) { stream.add(&input) }
    let bytes = stream.bytes.prefix(Self.requestRoom - 64)
    let claimed = input.byte() < 250 ? UInt32(bytes.count) : input.next()
    send(.submit3D(byteCount: claimed, fenceCount: 0), tail: Array(bytes), in: context)
  }

  // MARK: The guest and its monitor

  private mutating func send(_ command: Command, tail: [UInt8] = [], in context: UInt32 = 0) {
    var flags: CommandFlags = []
    if input.byte() & 3 == 0 { flags.insert(.fence) }
    if input.byte() & 7 == 0 { flags.insert(.ringIndex) }
    lastFence += 1
    send(
      command.encoded(
        flags: flags, fence: FenceID(rawValue: lastFence), context: ContextID(rawValue: context),
        ring: input.byte() % 3) + tail)
  }

  private mutating func send(_ bytes: [UInt8]) {
    let bytes = bytes.prefix(Self.requestRoom)
    let request = slots.advanced(by: UInt64(nextSlot * (Self.requestRoom + Self.replyRoom))) ?? slots
    let reply = request.advanced(by: UInt64(Self.requestRoom)) ?? request
    nextSlot = (nextSlot + 1) % Self.slotCount
    arena.bytes(at: request, count: bytes.count).copyBytes(from: bytes)
    let readable = bytes.isEmpty ? [] : [VirtqueueDriver.Buffer(request, UInt32(bytes.count))]
    let writable = [VirtqueueDriver.Buffer(reply, UInt32(Self.replyRoom))]
    // A full ring: what waits has to be done first.
    if driver.add(readable: readable, writable: writable, indirect: true) == nil {
      host.turn(0)
    } else {
      device.kicked(queue: 0)
    }
    drain()
  }

  private func drain() {
    while driver.poll() != nil {}
    precondition(driver.violations.isEmpty, "the device broke the ring: \(driver.violations)")
    precondition(driver.inFlightCount <= device.heldAnswerCount, "a request was not answered")
  }

  private func changeMemory() {
    if arena.memory.region(containing: Self.neighbour) != nil {
      try? arena.memory.remove(at: Self.neighbour, count: UInt64(Self.neighbourCount))
    } else if let region {
      try? arena.memory.add(region)
    }
    device.memoryChanged(arena.memory)
  }

  private mutating func restart() {
    device.stop(queue: 0)
    drain()
    if input.byte() & 1 == 0 { device.reset() }
    try? driver.reset()
    startQueue()
  }
}
