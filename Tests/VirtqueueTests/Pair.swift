import Platform
import Testing

@testable import Virtqueue

typealias Format = VirtqueueConfiguration.Format

/// A ring with both its ends: the driver that a guest would be, and the queue under test.
final class Pair {
  let arena: GuestArena
  /// The device's view of the memory.
  let memory: GuestMemory
  let driver: VirtqueueDriver
  private(set) var queue: Virtqueue
  let chain = DescriptorChain()
  /// How many descriptors were written into a packed ring past the driver.
  var rawOffers = 0
  /// A page each for what the device reads and writes.
  let request: GuestAddress
  let response: GuestAddress

  init(
    _ format: Format, size: UInt32 = 8, eventIndex: Bool = true, indirect: Bool = true,
    regions: [(guestAddress: GuestAddress, count: Int)] = [(GuestAddress(0x10000), 0x40000)]
  ) throws {
    arena = try GuestArena(regions)
    memory = try arena.mapAgain()
    request = try arena.allocate(4096, alignment: 4096)
    response = try arena.allocate(4096, alignment: 4096)
    driver = try VirtqueueDriver(arena: arena, size: size, format: format, eventIndex: eventIndex)
    var configuration = driver.configuration
    configuration.indirectDescriptors = indirect
    queue = try Virtqueue(index: 0, configuration: configuration, memory: memory)
    queue.callDescriptor = driver.callBell.ringing
  }

  /// Offers a request of `readable` bytes with room for `writable`.
  @discardableResult
  func offer(_ readable: UInt32 = 24, _ writable: UInt32 = 24, indirect: Bool = false) throws -> UInt16 {
    try #require(
      driver.add(
        readable: readable > 0 ? [.init(request, readable)] : [],
        writable: writable > 0 ? [.init(response, writable)] : [], indirect: indirect))
  }

  /// Takes a chain that must be there.
  func take() throws -> DescriptorChain {
    let chain = DescriptorChain()
    try #require(try queue.pop(into: chain))
    return chain
  }

  /// Takes and completes what is there; how many chains.
  @discardableResult
  func serve(written: UInt32 = 0) throws -> Int {
    var count = 0
    while try queue.pop(into: chain) {
      queue.push(chain, written: written)
      count += 1
    }
    return count
  }

  /// All completions so far.
  func completions() -> [VirtqueueDriver.Completion] {
    var all: [VirtqueueDriver.Completion] = []
    while let next = driver.poll() { all.append(next) }
    return all
  }

  /// Stops the queue and starts another one at its base.
  @discardableResult
  func resume() throws -> UInt32 {
    var configuration = queue.configuration
    configuration.base = queue.stop()
    queue = try Virtqueue(index: 0, configuration: configuration, memory: memory)
    queue.callDescriptor = driver.callBell.ringing
    return configuration.base
  }
}

extension DescriptorChain {
  /// All readable bytes.
  var bytes: [UInt8] {
    let count = readableCount
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      used = read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  func write(_ bytes: [UInt8], at offset: Int = 0) -> Int {
    bytes.withUnsafeBytes { write($0, at: offset) }
  }
}
