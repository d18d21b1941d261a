import Platform
import TestSupport
import Testing

@testable import Virtqueue

/// Random guests and devices that keep the rules: whatever they do and in whatever order, every request is answered once
/// with the right bytes, and nobody sleeps while there is work.
@Suite struct PropertyTests {
  @Test(arguments: Format.allCases, [true, false])
  func `every request is answered once and nobody oversleeps`(format: Format, eventIndex: Bool) throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("\(format) event index \(eventIndex): seed \(seed)")
    var random = SplitMix(seed: seed)
    for _ in 0..<20 {
      let size: UInt32 = format == .split ? 1 << random.below(7) : UInt32(random.below(90)) + 1
      let world = try World(format, size: size, eventIndex: eventIndex, random: random)
      for _ in 0..<2000 { try world.step() }
      try world.settle()
      #expect(world.outstanding.isEmpty, "seed \(seed), size \(size)")
      #expect(world.faults == [], "seed \(seed), size \(size)")
      #expect(world.pair.driver.violations.isEmpty, "seed \(seed), size \(size)")
      #expect(world.pair.driver.freeSlots == Int(size))
      random = world.random
    }
  }
}

extension SplitMix {
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// One guest, one device, and a record of what each request must get.
private final class World {
  private static let span = 256

  struct Request {
    var expected: [UInt8]
    var address: GuestAddress
    /// It was in flight at a stop, which may complete it empty.
    var mayBeCut = false
  }

  let pair: Pair
  let requests: GuestAddress
  let responses: GuestAddress
  var random: SplitMix
  var outstanding: [UInt16: Request] = [:]
  var faults: [String] = []
  private var inFlight: [(chain: DescriptorChain, answer: [UInt8])] = []
  private var spare: [DescriptorChain] = []
  private var places: [Int]

  init(_ format: Format, size: UInt32, eventIndex: Bool, random: SplitMix) throws {
    pair = try Pair(format, size: size, eventIndex: eventIndex, regions: [(GuestAddress(0x10000), 0x80000)])
    requests = try pair.arena.allocate(Int(size) * Self.span)
    responses = try pair.arena.allocate(Int(size) * Self.span)
    places = Array(0..<Int(size))
    self.random = random
    // Both sides go to sleep with nothing to do.
    #expect(!pair.queue.enableKicks())
    #expect(!pair.driver.enableCalls())
  }

  func step() throws {
    switch random.below(100) {
    case 0..<40: try offer()
    case 40..<60: pair.driver.kick()
    case 60..<75: try wakeDevice()
    case 75..<85: completeSome()
    case 85..<97: try wakeDriver()
    case 97: try changeMemory()
    default: try stopAndResume()
    }
  }

  /// Lets both sides finish, awake only when their doorbells rang.
  func settle() throws {
    pair.driver.kick()
    for _ in 0..<10 {
      try wakeDevice()
      while !inFlight.isEmpty { complete(random.below(inFlight.count)) }
      pair.queue.notifyIfNeeded()
      try wakeDriver()
    }
  }

  // MARK: Guest

  private func offer() throws {
    guard let place = places.last else { return }
    let offset = UInt64(place * Self.span)
    let request = (0..<random.below(100)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let capacity = random.below(100) + (request.isEmpty ? 1 : 0)
    let address = GuestAddress(responses.rawValue + offset)
    try pair.arena.write(request, at: GuestAddress(requests.rawValue + offset))
    let token = pair.driver.add(
      readable: pieces(GuestAddress(requests.rawValue + offset), request.count), writable: pieces(address, capacity),
      indirect: random.chance(30))
    guard let token else { return }
    places.removeLast()
    if outstanding[token] != nil { faults.append("token \(token) twice") }
    outstanding[token] = Request(expected: Self.answer(to: request, capacity: capacity), address: address)
  }

  /// Cuts a buffer into one to three pieces.
  private func pieces(_ address: GuestAddress, _ count: Int) -> [VirtqueueDriver.Buffer] {
    var parts: [VirtqueueDriver.Buffer] = []
    var done = 0
    while done < count {
      let part = parts.count == 2 ? count - done : random.below(count - done) + 1
      parts.append(.init(GuestAddress(address.rawValue + UInt64(done)), UInt32(part)))
      done += part
    }
    return parts
  }

  private static func answer(to request: [UInt8], capacity: Int) -> [UInt8] {
    Array((request.reversed().map { $0 ^ 0xa5 } + [UInt8(request.count)]).prefix(capacity))
  }

  private func wakeDriver() throws {
    guard pair.driver.wasCalled() else { return }
    pair.driver.suppressCalls()
    repeat {
      while let done = pair.driver.poll() { try check(done) }
    } while pair.driver.enableCalls()
  }

  private func check(_ done: VirtqueueDriver.Completion) throws {
    guard let request = outstanding.removeValue(forKey: done.token) else {
      return faults.append("token \(done.token) is not outstanding")
    }
    places.append(Int(request.address.rawValue - responses.rawValue) / Self.span)
    if done.written == 0, request.mayBeCut { return }
    let bytes = done.written > 0 ? try pair.arena.read(at: request.address, count: Int(done.written)) : []
    if bytes != request.expected { faults.append("token \(done.token): \(bytes), not \(request.expected)") }
  }

  // MARK: Device

  private func wakeDevice() throws {
    guard pair.driver.kickBell.drain() else { return }
    try process()
  }

  private func process() throws {
    pair.queue.suppressKicks()
    repeat {
      while true {
        let chain = spare.popLast() ?? DescriptorChain()
        guard try pair.queue.pop(into: chain) else {
          spare.append(chain)
          break
        }
        if let defect = chain.defect { faults.append("\(defect)") }
        inFlight.append((chain, Self.answer(to: chain.bytes, capacity: chain.writableCount)))
        if random.chance(50) { complete(random.below(inFlight.count)) }
      }
    } while pair.queue.enableKicks()
    pair.queue.notifyIfNeeded()
  }

  private func completeSome() {
    while !inFlight.isEmpty, random.chance(70) { complete(random.below(inFlight.count)) }
    pair.queue.notifyIfNeeded()
  }

  private func complete(_ index: Int) {
    let (chain, answer) = inFlight.remove(at: index)
    if chain.write(answer) != answer.count { faults.append("no room for \(answer.count) bytes") }
    pair.queue.push(chain, written: UInt32(answer.count))
    spare.append(chain)
  }

  private func stopAndResume() throws {
    for (chain, _) in inFlight { outstanding[chain.head]?.mayBeCut = true }
    try pair.resume()
    for (chain, _) in inFlight {
      pair.queue.push(chain, written: 1)
      spare.append(chain)
    }
    inFlight = []
    try process()
  }

  private func changeMemory() throws {
    if random.chance(30) {
      try pair.memory.replace(with: [])
      try process()
    }
    try pair.memory.replace(with: try pair.arena.mapAgain().regions)
    try process()
  }
}
