import CMuntin
import Glibc
import Testing

extension Library {
  /// The first picture that a new reader is handed is whole, whenever it comes.
  @Suite struct FirstPictureTests {
    private static let rows = 48

    private func draw(_ buffer: OpaquePointer?, _ owner: Application, _ colour: UInt8, rows: Range<Int>) {
      memset(owner.pixels(buffer) + rows.lowerBound * 256, Int32(colour), rows.count * 256)
    }

    private func colours(_ viewer: Application, _ lease: OpaquePointer?) throws -> Set<UInt8> {
      Set(UnsafeRawBufferPointer(start: try #require(viewer.map(lease)), count: Self.rows * 256))
    }

    /// Takes in what the hub says; answers that a picture is wanted, unless it is being drawn.
    private func attend(_ owner: Application, isDrawing: Bool) {
      for event in owner.events() where event.kind == .wanted && !isDrawing {
        #expect(owner.update(event.fields.buffer, [0, 0, 0, 0]) == 0)
      }
    }

    private func acquire(_ name: String, _ place: HubPlace) throws -> (Application, OpaquePointer?) {
      let viewer = try place.application(name)
      let lease = viewer.acquire().lease
      _ = try viewer.wait(.acquired)
      return (viewer, lease)
    }

    @Test func `readers who come in any moment of the drawing see one colour`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      let buffer = owner.offer().buffer
      for number in 0..<4 { _ = owner.grant(buffer, to: "viewer\(number)") }
      for _ in 0..<4 { _ = try owner.wait(.granted) }
      for round in 1...12 as ClosedRange<UInt8> {
        var viewers: [(Application, OpaquePointer?)] = []
        for part in 0..<4 {
          viewers.append(try acquire("viewer\(part)", place))
          attend(owner, isDrawing: true)
          draw(buffer, owner, round, rows: part * 12..<part * 12 + 12)
        }
        #expect(owner.update(buffer) == 0)
        for (viewer, lease) in viewers {
          let update = try viewer.wait(.updated)
          #expect(update.damage == [0, 0, 64, 48])
          attend(owner, isDrawing: false)
          #expect(!muntin_buffer_is_idle(buffer), "it may not draw while this one reads")
          #expect(try colours(viewer, lease) == [round])
          #expect(muntin_lease_done(lease, update.fields.generation, -1) == 0)
        }
        while !muntin_buffer_is_idle(buffer) {
          muntin_wait(owner.raw, 1000)
          attend(owner, isDrawing: false)
        }
      }
    }

    @Test func `a picture that does not change is handed to each new reader`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      let buffer = owner.offer().buffer
      for number in 0..<3 { _ = owner.grant(buffer, to: "viewer\(number)") }
      draw(buffer, owner, 9, rows: 0..<Self.rows)
      #expect(owner.update(buffer) == 0)
      for _ in 0..<3 { _ = try owner.wait(.granted) }
      for number in 0..<3 {
        let (viewer, lease) = try acquire("viewer\(number)", place)
        let wanted = try owner.wait(.wanted)
        #expect(owner.update(wanted.fields.buffer, [0, 0, 0, 0]) == 0)
        let update = try viewer.wait(.updated)
        #expect(update.damage == [0, 0, 64, 48])
        #expect(try colours(viewer, lease) == [9])
        #expect(muntin_lease_done(lease, update.fields.generation, -1) == 0)
      }
    }

    @Test func `after a hub's restart the picture is asked for again`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera"), viewer = try place.application("viewer")
      let buffer = owner.offer().buffer
      _ = owner.grant(buffer)
      _ = try owner.wait(.granted)
      let lease = viewer.acquire().lease
      _ = try viewer.wait(.acquired)
      draw(buffer, owner, 4, rows: 0..<Self.rows)
      #expect(owner.update(buffer) == 0)
      _ = try viewer.wait(.updated)
      place.kill()
      _ = try owner.wait(.disconnected)
      _ = try viewer.wait(.disconnected)
      try place.start()
      _ = try owner.wait(.granted)
      #expect(muntin_buffer_is_idle(buffer), "nobody of this hub reads it")
      _ = try viewer.wait(.acquired)
      _ = try owner.wait(.wanted)
      #expect(owner.update(buffer, [0, 0, 0, 0]) == 0)
      let update = try viewer.wait(.updated)
      #expect(update.damage == [0, 0, 64, 48] && update.fields.generation == 2)
      #expect(try colours(viewer, lease) == [4])
    }
  }
}
