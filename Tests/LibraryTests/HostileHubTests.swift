import CMuntin
import Glibc
import Platform
import Testing

extension Library {
  /// A hub that does not keep to the protocol: the library ends the connection, closes what came, and goes on living.
  @Suite struct HostileHubTests {
    private let id = [UInt8](1...16)

    /// The connection ends because of these bytes; descriptors that came are closed.
    private func expectEnd(
      of connected: (hub: ScriptedHub, application: Application), after bytes: [UInt8], descriptors: [Int32] = [],
      closed: UInt64? = nil, source: SourceLocation = #_sourceLocation
    ) {
      let file = descriptors.first.flatMap { OpenFile($0) }
      connected.hub.send(bytes, descriptors: descriptors)
      let event = connected.application.next()
      #expect(event?.kind == .disconnected, sourceLocation: source)
      #expect(event?.fields.error == MUNTIN_ERROR_BAD_PEER.rawValue, sourceLocation: source)
      #expect(connected.application.end == MUNTIN_ERROR_BAD_PEER.rawValue, sourceLocation: source)
      let statistics = connected.application.statistics
      #expect(statistics.bad_packets == 1, sourceLocation: source)
      #expect(statistics.descriptors_closed == closed ?? UInt64(descriptors.count), sourceLocation: source)
      #expect(file?.descriptors ?? 1 == 1, "only the test's own is left", sourceLocation: source)
      #expect(muntin_fd(connected.application.raw) == -1, sourceLocation: source)
    }

    @Test func `every message cut at every length, and padded, ends the connection`() throws {
      let file = try memoryFile()
      let messages: [MessageBytes] = [
        .welcome(), .error(8, "no", serial: 1), .accepted(serial: 1), .info(.acquired, id, serial: 1),
        .info(.info, id, serial: 1), .updated(id, [0, 0, 1, 1], generation: 1), .ended(.retired, id),
        .bufferDone(id, generation: 1, holder: 0, remaining: 0), .about(.bufferFreed, id), .queryEnd(0, serial: 1),
      ]
      for message in messages {
        let descriptors = message.hasDescriptor ? [file.raw] : []
        var sizes = Array(stride(from: 0, to: message.payload.count, by: 8))
        sizes.append(message.payload.count + 8)
        for size in sizes {
          var cut = message
          cut.payload = Array((message.payload + [UInt8](repeating: 0, count: 8)).prefix(size))
          expectEnd(of: try ScriptedHub.pair(), after: cut.bytes, descriptors: descriptors)
        }
        for size in stride(from: 1, to: message.bytes.count, by: 7) {
          expectEnd(of: try ScriptedHub.pair(), after: Array(message.bytes.prefix(size)), descriptors: descriptors)
        }
      }
    }

    @Test func `headers that lie end the connection`() throws {
      func header(_ type: UInt16, _ flags: UInt16, _ length: UInt32) -> [UInt8] {
        var bytes = MessageBytes(.hello)
        bytes.append(type)
        bytes.append(flags)
        bytes.append(length)
        bytes.append(UInt64(1))
        return bytes.payload
      }
      let payload = [UInt8](repeating: 0, count: 8)
      for (flags, length) in [(0, 0), (0, 8), (0, 15), (0, 17), (0, 32), (0, UInt32.max), (2, 24), (0xffff, 24)] {
        expectEnd(of: try ScriptedHub.pair(), after: header(0x0481, UInt16(flags), length) + payload)
      }
      for type in [0, 1, 0x0181, 0x0283, 0x0401, 0x0480, 0x048b, 0xffff] {
        expectEnd(of: try ScriptedHub.pair(), after: header(UInt16(type), 0, 24) + payload)
      }
    }

    @Test(arguments: 0...16) func `surplus and missing descriptors end the connection`(count: Int) throws {
      let file = try memoryFile()
      let descriptors = [Int32](repeating: file.raw, count: count)
      if count != 1 {
        let acquired = MessageBytes.info(.acquired, id, serial: 1)
        expectEnd(of: try ScriptedHub.pair(), after: acquired.bytes, descriptors: descriptors)
      }
      if count > 0 {
        expectEnd(of: try ScriptedHub.pair(), after: MessageBytes.accepted(serial: 1).bytes, descriptors: descriptors)
        var flagged = MessageBytes.accepted(serial: 1)
        flagged.hasDescriptor = true
        if count == 1 { expectEnd(of: try ScriptedHub.pair(), after: flagged.bytes, descriptors: descriptors) }
      }
    }

    @Test func `more descriptors than a packet may have are closed, by the kernel or by the library`() throws {
      let file = try memoryFile()
      let descriptors = [Int32](repeating: file.raw, count: 200)
      expectEnd(
        of: try ScriptedHub.pair(), after: MessageBytes.accepted(serial: 1).bytes, descriptors: descriptors, closed: 16)
    }

    @Test func `a packet that is too large ends the connection`() throws {
      let message = MessageBytes.updated(id, [0, 0, 1, 1], generation: 1).bytes
      let packet = Array(repeating: message, count: 1 + 65_536 / message.count).flatMap { $0 }
      #expect(packet.count > 65_536)
      expectEnd(of: try ScriptedHub.pair(), after: packet)
    }

    @Test func `anything but welcome or an error at first ends the connection`() throws {
      for message in [MessageBytes.accepted(serial: 1), .queryEnd(0, serial: 1)] {
        expectEnd(of: try ScriptedHub.pair(greets: false), after: message.bytes)
      }
      var other = MessageBytes.welcome()
      other.payload[0] = 2
      expectEnd(of: try ScriptedHub.pair(greets: false), after: other.bytes)
    }

    @Test func `buffers that cannot be end the connection`() throws {
      let file = try memoryFile()
      let lies: [MessageBytes] = [
        .info(.acquired, [UInt8](repeating: 0, count: 16), serial: 1),
        .info(.acquired, id, serial: 1, access: 0), .info(.acquired, id, serial: 1, access: 3),
        .info(.acquired, id, serial: 1, access: 2), .info(.acquired, id, serial: 1, name: "back"),
        .info(.acquired, id, serial: 1, layout: (64, 48, 252)), .info(.acquired, id, serial: 1, layout: (0, 48, 256)),
        .info(.acquired, id, serial: 1, layout: (64, 16_385, 256)),
        .info(.acquired, id, serial: 1, layout: (64, 48, .max)),
        .info(.acquired, id, serial: 1, byteCount: 12287 - 256), .info(.acquired, id, serial: 1, byteCount: .max),
      ]
      for lie in lies {
        let (hub, application) = try ScriptedHub.pair()
        application.acquire()
        _ = try hub.expect(.acquire)
        hub.forget()
        expectEnd(of: (hub, application), after: lie.bytes, descriptors: [file.raw])
      }
    }

    @Test func `memory that could end the reader by SIGBUS is not mapped`() throws {
      for (file, words) in [
        (try unsealedFile(), "can shrink"), (try memoryFile(count: 8192), "shorter"),
        (try Doorbell().waiting, "not a memory file"),
      ] {
        let (hub, application) = try ScriptedHub.pair()
        let lease = application.acquire().lease
        hub.send(.info(.acquired, id, serial: try hub.expect(.acquire).serial), descriptors: [file.raw])
        #expect(application.events().map(\.kind) == [.acquired])
        #expect(application.map(lease) == nil)
        #expect(application.lastError.contains(words), "\(application.lastError)")
      }
    }

    @Test func `answers to nothing, and news of what is not there, are passed over`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let file = try memoryFile()
      hub.send(
        .info(.acquired, id, serial: 4711), .updated(id, [0, 0, 1, 1], generation: 1, hasFence: true),
        .bufferDone(id, generation: 1, holder: 0, remaining: 0, hasFence: true),
        descriptors: [file.raw, file.raw, file.raw])
      hub.send(.ended(.revoked, id), .ended(.retired, id), .about(.bufferFreed, id), .about(.bufferRevoked, id))
      #expect(application.events().isEmpty && application.end == 0)
      #expect(application.statistics.descriptors_closed == 3)
      #expect(OpenFile(file.raw)?.descriptors == 1)
    }

    @Test func `an error that ends the connection is told with its words`() throws {
      let (hub, application) = try ScriptedHub.pair(greets: false)
      hub.send(.error(3, "application tester is for another user", serial: 0))
      let event = try #require(application.next())
      #expect(event.kind == .disconnected && event.fields.error == MUNTIN_ERROR_NOT_PERMITTED.rawValue)
      #expect(event.text == "application tester is for another user" && event.fields.milliseconds == 0)
      #expect(application.end == MUNTIN_ERROR_NOT_PERMITTED.rawValue)
      #expect(application.offer().result == 0, "nothing ends the program")
      #expect(muntin_fd(application.raw) == -1 && muntin_timeout(application.raw) == -1)
    }

    @Test func `a hub that does not read holds up nobody, and nothing is lost`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer().buffer
      hub.send(.accepted(serial: try hub.expect(.offer).serial))
      #expect(application.events().map(\.kind) == [.offered])
      for _ in 0..<5000 { #expect(application.update(buffer, [1, 1, 2, 2]) == 0) }
      #expect(application.update(buffer, [40, 40, 2, 2]) == 0)
      #expect(muntin_poll_events(application.raw) == Int16(POLLIN | POLLOUT))
      var busy: Int32 = 0
      for _ in 0..<5000 where busy == 0 { busy = muntin_list(application.raw, nil, 0, nil) }
      #expect(busy == MUNTIN_ERROR_BUSY.rawValue)
      var messages: [MessageBytes] = []
      for _ in 0..<100 {
        messages += hub.receive()
        #expect(application.next() == nil)
      }
      let updates = messages.filter { $0.kind == .update }
      #expect(updates.last?.number(32, UInt64.self) == 5001)
      #expect(updates.contains { $0.number(24, UInt32.self) >= 41 }, "the damage of all is in them")
      #expect(muntin_poll_events(application.raw) == Int16(POLLIN))
    }

    @Test func `noise ends the connection or is passed over`() throws {
      let seed = UInt64.random(in: 0 ... .max)
      var state = seed
      func random(_ limit: UInt64) -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 33) % limit
      }
      let file = try memoryFile()
      for _ in 0..<500 {
        let (hub, application) = try ScriptedHub.pair()
        application.acquire()
        application.offer()
        var packet: [UInt8] = []
        for _ in 0...random(4) {
          var message = MessageBytes.info(.acquired, id, serial: 1 + random(3))
          message.type = UInt16([0x0003, 0x0183, 0x0481, 0x0482, 0x0483, 0x0487, 0x0489, 0x048a][Int(random(8))])
          message.hasDescriptor = random(2) == 0
          message.payload = Array(message.payload.prefix([8, 16, 24, 32, 40, 128, 248, 376][Int(random(8))]))
          if random(2) == 0, !message.payload.isEmpty {
            message.payload[Int(random(UInt64(message.payload.count)))] ^= UInt8(1 << random(8))
          }
          packet += message.bytes
        }
        hub.send(packet, descriptors: [Int32](repeating: file.raw, count: Int(random(4))))
        while application.next() != nil {}
      }
      print("seed \(seed)")
    }
  }
}
