import CMuntin
import Glibc
import Platform
import Testing

extension Library {
  /// The hub goes away and comes back: what was announced is announced again.
  @Suite struct ReconnectTests {
    private let id = [UInt8](1...16)

    /// A place where a scripted hub listens.
    private final class Place {
      let path: String
      private let folder: String
      private var listener: SharedDescriptor?

      init() {
        var template = Array("/tmp/muntin-library-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { $0.baseAddress.map { String(cString: mkdtemp($0)) } ?? "" }
        path = folder + "/hub.sock"
      }

      func listen() throws { listener = SharedDescriptor(try UnixSocket.listen(path: path, kind: .sequencedPacket)) }

      func leave() {
        listener = nil
        unlink(path)
      }

      /// The application connects, and the hub says welcome.
      func accept(_ application: Application, instance: UInt64 = 1) throws -> ScriptedHub {
        let deadline = MonotonicTime.now + .seconds(20)
        while true {
          if let listener, let connection = try UnixSocket.accept(listener.raw) {
            let hub = try ScriptedHub(connection.release())
            hub.send(.welcome(instance: instance))
            return hub
          }
          #expect(application.next() == nil)
          try #require(MonotonicTime.now < deadline)
          muntin_wait(application.raw, 10)
        }
      }

      deinit {
        unlink(path)
        rmdir(folder)
      }
    }

    @Test func `a hub that is not there yet is waited for`() throws {
      let place = Place()
      let application = try Application(path: place.path)
      #expect(muntin_fd(application.raw) == -1 && (1...50).contains(muntin_timeout(application.raw)))
      let buffer = application.offer().buffer
      #expect(application.update(buffer) == 0)
      #expect(muntin_list(application.raw, nil, 0, nil) == MUNTIN_ERROR_NO_HUB.rawValue)
      #expect(application.end == 0)
      try place.listen()
      let hub = try place.accept(application)
      #expect(application.next()?.kind == .connected)
      #expect(try hub.expect(.offer).id() == identity(buffer))
      #expect(muntin_fd(application.raw) >= 0)
    }

    @Test func `without reconnecting a missing hub is an error at once, and a lost one the end`() throws {
      let place = Place()
      var connection: OpaquePointer?
      let result = place.path.withCString { path in
        "tester".withCString { name in
          var options = muntin_options(name: name, path: path, reconnect: false)
          return muntin_open(&options, &connection)
        }
      }
      #expect(result == MUNTIN_ERROR_NO_HUB.rawValue && connection == nil && errno == ENOENT)
      try place.listen()
      let application = try Application(path: place.path, reconnects: false)
      var hub: ScriptedHub? = try place.accept(application)
      #expect(hub != nil && application.next()?.kind == .connected)
      hub = nil
      #expect(application.next()?.kind == .disconnected)
      #expect(application.end == MUNTIN_ERROR_HUNG_UP.rawValue)
    }

    @Test
    func `buffers, grants, constraints and leases are announced again, and mappings stay until they are replaced`()
      throws
    {
      let place = Place()
      try place.listen()
      let application = try Application(path: place.path)
      var hub: ScriptedHub? = try place.accept(application)
      #expect(application.next()?.kind == .connected)
      let buffer = application.offer("mine").buffer
      _ = application.update(buffer)
      _ = application.grant(buffer)
      #expect(muntin_set_constraints(application.raw, nil) == 0)
      let lease = application.acquire().lease
      try answerAll(#require(hub), file: memoryFile([1]), application)
      let pixels = try #require(application.map(lease))
      #expect(pixels.load(as: UInt8.self) == 1)

      hub = nil
      place.leave()
      let lost = try #require(application.next())
      #expect(lost.kind == .disconnected && (1...50).contains(lost.fields.milliseconds))
      #expect(pixels.load(as: UInt8.self) == 1, "what is mapped stays")
      #expect(application.update(buffer) == 0)
      try place.listen()
      let next = try place.accept(application, instance: 2)
      #expect(application.next()?.fields.number == 2)
      #expect(try next.expect(.constraints).payload.count == 304)
      let update = try answerAll(next, file: memoryFile([2]), application)
      #expect(update.payload == identity(buffer) + wordBytes([0, 0, 64, 48, 2, 0]))
      #expect(pixels.load(as: UInt8.self) == 1)
      let again = try #require(application.map(lease))
      #expect(again.load(as: UInt8.self) == 2)
      #expect(application.statistics.connections == 2)
    }

    /// Answers an offer, a grant and an acquisition; the update that follows the first.
    @discardableResult
    private func answerAll(
      _ hub: ScriptedHub, file: SharedDescriptor, _ application: Application
    ) throws -> MessageBytes {
      hub.send(.accepted(serial: try hub.expect(.offer).serial))
      hub.send(.info(.acquired, id, serial: try hub.expect(.acquire).serial), descriptors: [file.raw])
      _ = try application.wait(.acquired)
      hub.send(.accepted(5, serial: try hub.expect(.grant).serial))
      _ = try application.wait(.granted)
      return try hub.expect(.update)
    }

    @Test func `a lease whose owner is not back yet is asked for again, and given up after ten seconds`() throws {
      let place = Place()
      try place.listen()
      let application = try Application(path: place.path)
      var hub: ScriptedHub? = try place.accept(application)
      let lease = application.acquire(id: id).lease
      #expect(application.next()?.kind == .connected)
      let file = try memoryFile([1])
      hub?.send(.info(.acquired, id, serial: try #require(hub).expect(.acquire).serial), descriptors: [file.raw])
      #expect(application.next()?.kind == .acquired)
      hub = nil
      #expect(application.next()?.kind == .disconnected)
      let next = try place.accept(application)
      for _ in 0..<3 {
        let serial = try waitForAcquire(next, application)
        next.send(.error(8, "no such buffer", serial: serial))
        #expect(application.events().allSatisfy { $0.kind == .connected })
        #expect((1...400).contains(muntin_timeout(application.raw)))
      }
      next.send(.info(.acquired, id, serial: try waitForAcquire(next, application)), descriptors: [file.raw])
      let event = try #require(application.next())
      #expect(event.kind == .acquired && event.fields.lease == lease)
    }

    private func waitForAcquire(_ hub: ScriptedHub, _ application: Application) throws -> UInt64 {
      let deadline = MonotonicTime.now + .seconds(20)
      while true {
        hub.receive()
        if hub.received.contains(where: { $0.kind == .acquire }) { return try hub.expect(.acquire).serial }
        try #require(MonotonicTime.now < deadline)
        muntin_wait(application.raw, 1000)
        while let event = application.next() { #expect(event.kind == .connected) }
      }
    }

    @Test func `a buffer that was being withdrawn is free with the hub's end`() throws {
      let place = Place()
      try place.listen()
      let application = try Application(path: place.path)
      var hub: ScriptedHub? = try place.accept(application)
      let buffer = application.offer().buffer
      #expect(application.next()?.kind == .connected)
      hub?.send(.accepted(serial: try #require(hub).expect(.offer).serial))
      #expect(application.next()?.kind == .offered)
      #expect(muntin_buffer_withdraw(buffer) == 0)
      hub = nil
      #expect(application.next()?.kind == .disconnected)
      let freed = try application.wait(.freed)
      #expect(freed.fields.buffer == buffer)
      let next = try place.accept(application)
      #expect(next.receive().allSatisfy { $0.kind == .hello })
    }

    @Test func `a hub that refuses this program is not asked again`() throws {
      let place = Place()
      try place.listen()
      let application = try Application(path: place.path)
      let hub = try place.accept(application)
      hub.send(.error(3, "not yours", serial: 0))
      let event = try application.wait(.disconnected)
      #expect(event.fields.error == MUNTIN_ERROR_NOT_PERMITTED.rawValue && event.fields.milliseconds == 0)
      #expect(application.end == MUNTIN_ERROR_NOT_PERMITTED.rawValue)
    }

    @Test func `a name that is still in use is tried again`() throws {
      let place = Place()
      try place.listen()
      let application = try Application(path: place.path)
      let hub = try place.accept(application)
      hub.send(.error(4, "the name is in use", serial: 0))
      let event = try application.wait(.disconnected)
      #expect(event.fields.error == MUNTIN_ERROR_NAME_IN_USE.rawValue && event.fields.milliseconds > 0)
      _ = try place.accept(application)
      _ = try application.wait(.connected)
    }
  }
}
