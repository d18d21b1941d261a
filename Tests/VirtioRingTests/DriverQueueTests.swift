import CAllocations
import Testing

@testable import VirtioRing

@Suite("The driver's side of a queue") struct DriverQueueTests {
  @Test("requests come back in any order, and the ring takes as many as it has room for", arguments: Format.allCases)
  func order(_ format: Format) throws {
    let ring = try Ring(format)
    let tokens = (0..<4).compactMap { _ in ring.offer() }
    #expect(tokens.count == 4 && ring.offer() == nil && ring.driver.freeSlots == 0)
    for token in tokens.reversed() {
      ring.complete(UInt32(token), written: 24)
      #expect(ring.driver.poll() == DriverQueue.Completion(token: token, written: 24))
    }
    #expect(ring.driver.poll() == nil && ring.driver.freeSlots == 8 && ring.driver.inFlightCount == 0)
  }

  @Test("what was not in flight is noted, and the next completion arrives", arguments: Format.allCases)
  func unknown(_ format: Format) throws {
    let ring = try Ring(format)
    let token = try #require(ring.offer())
    let invented: UInt32 = format == .split ? 0x1_0000 : 0xfff0
    ring.complete(invented, written: 24, slots: 1)
    ring.complete(UInt32(token), written: 24)
    #expect(ring.driver.poll()?.token == token)
    #expect(ring.driver.violations == [.unknownToken(invented)])
  }

  @Test("what comes back twice is noted the second time", arguments: Format.allCases)
  func twice(_ format: Format) throws {
    let ring = try Ring(format)
    let token = try #require(ring.offer())
    for _ in 0..<2 { ring.complete(UInt32(token), written: 24) }
    #expect(ring.driver.poll()?.token == token && ring.driver.poll() == nil)
    #expect(ring.driver.violations == [.unknownToken(UInt32(token))] && ring.driver.freeSlots == 8)
  }

  @Test("more bytes than there was room for are noted", arguments: Format.allCases)
  func tooLong(_ format: Format) throws {
    let ring = try Ring(format)
    let token = try #require(ring.offer())
    ring.complete(UInt32(token), written: 101)
    #expect(ring.driver.poll()?.token == token)
    #expect(ring.driver.violations == [.writtenBeyondEnd(token: token, written: 101, capacity: 100)])
  }

  @Test("a used index that jumps is noted, and what comes after it arrives")
  func jump() throws {
    let ring = try Ring(.split)
    let token = try #require(ring.offer())
    ring.jump(to: 100)
    #expect(ring.driver.poll() == nil)
    #expect(ring.driver.violations == [.usedIndexJumped(from: 0, to: 100)])
    ring.jump(to: 99)
    #expect(ring.driver.poll() == nil && ring.driver.violationCount == 2)
    ring.parts.device.setWord32(4 + 8 * (99 % 8), UInt32(token))
    ring.jump(to: 100)
    #expect(ring.driver.poll()?.token == token)
  }

  @Test("a device that is wrong without end is counted and takes no memory", arguments: Format.allCases)
  func endless(_ format: Format) throws {
    let ring = try Ring(format)
    for _ in 0..<1000 {
      ring.complete(7, written: 0, slots: 1)
      #expect(ring.driver.poll() == nil)
    }
    #expect(ring.driver.violationCount == 1000 && ring.driver.violations.count == 256)
  }

  @Test(
    "a request costs no allocation", .enabled(if: muntin_counts_allocations(), "a sanitizer has its own malloc"),
    arguments: Format.allCases, [false, true])
  func allocations(_ format: Format, _ eventIndex: Bool) throws {
    let ring = try Ring(format, eventIndex: eventIndex)
    var allocations: UInt64 = 0
    for index in 0..<100 {
      if index == 10 { allocations = 0 }
      let before = muntin_allocations()
      let token = ring.offer()
      _ = ring.driver.wantsKick()
      allocations += muntin_allocations() - before
      ring.complete(UInt32(try #require(token)), written: 24)
      let middle = muntin_allocations()
      let completion = ring.driver.poll()
      _ = ring.driver.enableCalls()
      allocations += muntin_allocations() - middle
      #expect(completion?.token == token)
    }
    #expect(allocations == 0)
  }

  @Test("a size that no ring may have is refused", arguments: [0, 3, 65536] as [UInt32])
  func size(_ size: UInt32) {
    let nowhere = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    let configuration = VirtqueueConfiguration(
      size: size, format: .split, eventIndex: false, indirectDescriptors: false,
      addresses: VirtqueueAddresses(descriptors: 0, driver: 0, device: 0))
    #expect(throws: VirtqueueError.invalidSize(size)) {
      _ = try DriverQueue(configuration, parts: RingParts(descriptors: nowhere, driver: nowhere, device: nowhere))
    }
  }

  @Test("the parts of a ring are as large as the specification says")
  func extents() {
    let split = RingExtents(size: 256, format: .split, eventIndex: true)
    #expect(split.descriptors.count == 4096 && split.descriptors.alignment == 16)
    #expect(split.driver.count == 6 + 2 * 256 && split.driver.alignment == 2)
    #expect(split.device.count == 6 + 8 * 256 && split.device.alignment == 4)
    let plain = RingExtents(size: 256, format: .split, eventIndex: false)
    #expect(plain.driver.count == 4 + 2 * 256 && plain.device.count == 4 + 8 * 256)
    let packed = RingExtents(size: 3, format: .packed, eventIndex: true)
    #expect(packed.descriptors.count == 48 && packed.driver.count == 4 && packed.device.count == 4)
  }
}
