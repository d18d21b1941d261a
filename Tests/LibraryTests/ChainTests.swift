import CMuntin
import Glibc
import Testing

extension Library {
  /// Buffers of several images, with a real hub between owner and reader.
  @Suite struct ChainTests {
    private static let byteCount = 64 * 48 * 4

    /// Draws the next generation in one colour, and gives it out; 0: there is no image for it.
    @discardableResult
    private func draw(_ owner: Application, _ buffer: OpaquePointer?) throws -> UInt64 {
      let generation = muntin_buffer_next(buffer)
      guard generation > 0 else { return 0 }
      let image = try #require(muntin_buffer_image(buffer, generation))
      memset(image, Int32(generation & 0xff), Self.byteCount)
      #expect(owner.update(buffer) == 0)
      #expect(muntin_buffer_generation(buffer) == generation)
      return generation
    }

    /// Draws, once the hub has said that there is an image.
    private func drawSoon(_ owner: Application, _ buffer: OpaquePointer?) throws -> UInt64 {
      for _ in 0..<200 {
        let generation = try draw(owner, buffer)
        if generation > 0 { return generation }
        muntin_wait(owner.raw, 50)
        _ = owner.events()
      }
      Issue.record("no image is free")
      return 0
    }

    private func colours(_ viewer: Application, _ lease: OpaquePointer?) throws -> Set<UInt8> {
      Set(UnsafeRawBufferPointer(start: try #require(viewer.map(lease)), count: Self.byteCount))
    }

    private typealias Sharing = (
      place: HubPlace, owner: Application, viewer: Application, buffer: OpaquePointer?, lease: OpaquePointer?
    )

    private func sharing(images: UInt32, flags: Int = MUNTIN_UPDATES) throws -> Sharing {
      let place = try HubPlace()
      let owner = try place.application("camera"), viewer = try place.application("viewer")
      let buffer = owner.offer(images: images).buffer
      _ = owner.grant(buffer)
      _ = try owner.wait(.granted)
      let lease = viewer.acquire(flags: flags).lease
      let acquired = try viewer.wait(.acquired)
      #expect(acquired.info?.images == images && acquired.info?.byte_count == UInt64(images) * 12_288)
      return (place, owner, viewer, buffer, lease)
    }

    @Test func `a reader's picture stays as it is, and its owner goes on in other images`() throws {
      let (place, owner, viewer, buffer, lease) = try sharing(images: 3)
      var last: UInt64 = 0
      for _ in 0..<5 {
        last = try drawSoon(owner, buffer)
        let update = try viewer.wait(.updated)
        for _ in 0..<6 {
          last = try drawSoon(owner, buffer)
          #expect(try colours(viewer, lease) == [UInt8(update.fields.generation & 0xff)])
        }
        #expect(muntin_lease_done(lease, update.fields.generation, -1) == 0)
        let newest = try viewer.wait(.updated)
        #expect(newest.fields.generation == last)
        #expect(muntin_lease_done(lease, last, -1) == 0)
      }
      _ = place
    }

    @Test func `with two images an owner has none while a reader holds one, and is told when it is free`() throws {
      let (place, owner, viewer, buffer, lease) = try sharing(images: 2)
      let first = try drawSoon(owner, buffer)
      #expect(try viewer.wait(.updated).fields.generation == first)
      _ = try drawSoon(owner, buffer)
      for _ in 0..<20 {
        muntin_wait(owner.raw, 5)
        _ = owner.events()
      }
      #expect(muntin_buffer_next(buffer) == 0)
      #expect(muntin_lease_done(lease, first, -1) == 0)
      _ = try owner.wait(.taken)
      _ = try drawSoon(owner, buffer)
      _ = place
    }

    @Test func `who shows a picture keeps it after DONE`() throws {
      let (place, owner, viewer, buffer, lease) = try sharing(images: 3, flags: MUNTIN_UPDATES | MUNTIN_KEEPS)
      let first = try drawSoon(owner, buffer)
      _ = try viewer.wait(.updated)
      let shown = try #require(viewer.map(lease))
      #expect(muntin_lease_done(lease, first, -1) == 0)
      for _ in 0..<8 {
        try draw(owner, buffer)
        muntin_wait(owner.raw, 5)
        _ = owner.events()
        let bytes = UnsafeRawBufferPointer(start: shown, count: Self.byteCount)
        #expect(Set(bytes) == [UInt8(first & 0xff)])
      }
      _ = place
    }

    @Test func `a hub that was restarted is told of the newest picture without being asked`() throws {
      let (place, owner, viewer, buffer, lease) = try sharing(images: 2)
      let newest = try drawSoon(owner, buffer)
      _ = try viewer.wait(.updated)
      place.kill()
      _ = try owner.wait(.disconnected)
      _ = try viewer.wait(.disconnected)
      try place.start()
      _ = try owner.wait(.granted)
      _ = try viewer.wait(.acquired)
      let update = try viewer.wait(.updated)
      #expect(update.fields.generation == newest && update.damage == [0, 0, 64, 48])
      #expect(try colours(viewer, lease) == [UInt8(newest & 0xff)])
      #expect(muntin_lease_done(lease, newest, -1) == 0)
      _ = try drawSoon(owner, buffer)
    }

    @Test func `four images are too many`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      #expect(owner.offer(images: 4).result == MUNTIN_ERROR_INVALID.rawValue)
      #expect(owner.lastError == "too many images")
    }
  }
}
