import Platform
import Virtqueue

/// Drives a split queue with a guest that writes anything anywhere.
@Sendable public func fuzzSplitQueue(_ input: UnsafeRawBufferPointer) {
  fuzzQueue(.split, input)
}

/// Drives a packed queue with a guest that writes anything anywhere.
@Sendable public func fuzzPackedQueue(_ input: UnsafeRawBufferPointer) {
  fuzzQueue(.packed, input)
}

private func fuzzQueue(_ format: VirtqueueConfiguration.Format, _ bytes: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the queue.
  guard var machine = try? QueueMachine(format, FuzzInput(bytes)) else { return }
  machine.run()
}

/// A guest and a device that do what the input says.
///
/// The input: size, features, base; then actions of one byte each with their operands.
private struct QueueMachine {
  private static let ring = GuestAddress(0x10000)
  private static let neighbour = GuestAddress(0x14000)
  private static let top = GuestAddress(0xffff_ffff_ffff_e000)

  private var input: FuzzInput
  private let arena: GuestArena
  private let memory: GuestMemory
  private let driver: VirtqueueDriver
  private var queue: Virtqueue
  private var inFlight: [DescriptorChain] = []
  private var spare: [DescriptorChain] = []
  /// The next slot that the guest fills in a packed ring, counted without wrapping.
  private var slot = 0

  init(_ format: VirtqueueConfiguration.Format, _ input: FuzzInput) throws {
    var input = input
    let size: UInt32 = format == .split ? 1 << UInt32(input.byte() % 7) : UInt32(input.byte() % 64) + 1
    let features = input.byte()
    arena = try GuestArena([(Self.ring, 0x4000), (Self.neighbour, 0x1000), (Self.top, 0x1000)])
    memory = try arena.mapAgain()
    driver = try VirtqueueDriver(arena: arena, size: size, format: format, eventIndex: features & 1 != 0)
    var configuration = driver.configuration
    configuration.indirectDescriptors = features & 2 != 0
    if features & 4 != 0 { configuration.base = input.next() }
    queue = try Virtqueue(index: 0, configuration: configuration, memory: memory)
    if features & 8 != 0 { queue.callDescriptor = driver.callBell.ringing }
    self.input = input
  }

  mutating func run() {
    while !input.isEmpty { step() }
    queue.stop()
    for chain in inFlight { queue.push(chain, written: 1) }
  }

  private mutating func step() {
    switch input.byte() % 16 {
    case 0, 1: pop()
    case 2: push()
    case 3: writeDescriptor()
    case 4: offer()
    case 5: driver.setAvailableIndex(input.next())
    case 6: scribble()
    case 7: queue.suppressKicks()
    case 8: _ = queue.enableKicks()
    case 9: queue.notifyIfNeeded()
    case 10: resume()
    case 11: changeMemory()
    case 12: use()
    case 13: request()
    case 14: while driver.poll() != nil {}
    default: queue.callDescriptor = queue.callDescriptor == nil ? driver.callBell.ringing : nil
    }
    precondition(queue.inFlightCount <= Int(queue.configuration.size), "more in flight than the ring holds")
  }

  // MARK: Device

  private mutating func pop() {
    let chain = spare.popLast() ?? DescriptorChain()
    guard (try? queue.pop(into: chain)) == true else {
      precondition(!chain.isInFlight, "a chain that was not taken is in flight")
      return spare.append(chain)
    }
    precondition(chain.readableCount + chain.writableCount <= 1 << 32, "a chain larger than the rules allow")
    precondition(chain.defect == nil || chain.readableCount == 0, "a bad chain can be read")
    inFlight.append(chain)
  }

  private mutating func push() {
    guard !inFlight.isEmpty else { return }
    let chain = inFlight.remove(at: input.next(below: inFlight.count))
    queue.push(chain, written: input.next())
    precondition(!chain.isInFlight, "a completed chain is in flight")
    spare.append(chain)
  }

  /// Reads and writes a chain at some offset.
  private mutating func use() {
    guard !inFlight.isEmpty else { return }
    let chain = inFlight[input.next(below: inFlight.count)]
    let offset = Int(input.next(UInt16.self))
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { buffer in
      let readable = max(0, chain.readableCount - offset)
      precondition(chain.read(into: buffer, at: offset) == min(512, readable), "a short read")
      let writable = max(0, chain.writableCount - offset)
      buffer.initializeMemory(as: UInt8.self, repeating: 0x5a)
      precondition(chain.write(UnsafeRawBufferPointer(buffer), at: offset) == min(512, writable), "a short write")
    }
    var count = 0
    chain.forEachReadable(from: offset) { count += $0.count }
    precondition(count == max(0, chain.readableCount - offset), "pieces and their sum differ")
  }

  private mutating func resume() {
    var configuration = queue.configuration
    configuration.base = queue.stop()
    for chain in inFlight { queue.push(chain, written: 0) }
    spare += inFlight
    inFlight = []
    if let next = try? Virtqueue(index: 0, configuration: configuration, memory: memory) { queue = next }
  }

  private mutating func changeMemory() {
    let choice = input.byte()
    let kept = (try? arena.mapAgain().regions) ?? []
    try? memory.replace(with: kept.enumerated().filter { choice >> $0.offset & 1 == 0 }.map(\.element))
  }

  // MARK: Guest

  /// An address that is memory, nearly memory, or nothing.
  private mutating func address() -> GuestAddress {
    let choice = input.byte()
    let offset = UInt64(input.next(UInt16.self))
    switch choice % 5 {
    case 0: return GuestAddress(Self.ring.rawValue + offset % 0x4000)
    case 1: return GuestAddress(Self.neighbour.rawValue &- offset % 64)
    case 2: return GuestAddress(Self.neighbour.rawValue + 0x1000 &- offset % 64)
    case 3: return GuestAddress(Self.top.rawValue &+ offset)
    default: return GuestAddress(input.next())
    }
  }

  private mutating func writeDescriptor() {
    let size = Int(queue.configuration.size)
    let flags = UInt16(input.byte())
    let count = flags & 0x10 == 0 ? UInt32(input.byte()) : input.next(UInt32.self)
    let address = address()
    switch queue.configuration.format {
    case .split:
      driver.poke(input.next(below: size), address: address, count: count, flags: flags & 7, link: input.next() & 0x7f)
    case .packed:
      let turn: UInt16 = slot / size % 2 == 0 ? 0x80 : 0x8000
      driver.poke(slot % size, address: address, count: count, flags: flags & 7 | turn, link: input.next() & 0x7f)
      slot += flags & 0x20 == 0 ? 1 : Int(input.byte())
    }
  }

  private mutating func offer() {
    driver.offer(head: UInt16(input.byte()))
  }

  /// What a driver that keeps the rules does, among all the rest.
  private mutating func request() {
    let shape = input.byte()
    let readable = (0..<Int(shape & 3)).map { _ in VirtqueueDriver.Buffer(address(), UInt32(input.byte())) }
    let writable = (0..<Int(shape >> 2 & 3)).map { _ in VirtqueueDriver.Buffer(address(), UInt32(input.byte())) }
    _ = driver.add(readable: readable, writable: writable, indirect: shape & 16 != 0)
  }

  /// Writes anything into the region that holds the rings.
  private mutating func scribble() {
    let offset = input.next(below: 0x4000)
    let bytes = input.take(Int(input.byte()))
    let target = arena.bytes(at: Self.ring, count: 0x4000)
    for (index, byte) in bytes.enumerated() { target[(offset + index) % target.count] = byte }
  }
}
